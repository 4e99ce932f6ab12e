import { AlertPolicyServiceClient } from '@google-cloud/monitoring/build/src/v3/alert_policy_service_client.js'
import { UptimeCheckServiceClient } from '@google-cloud/monitoring/build/src/v3/uptime_check_service_client.js'
import type { Deadline } from '../../concurrency/deadline.ts'
import { type GoogleOptions, openGoogleApi } from '../google/google-client.ts'
import type { ChangedPolicy, ChangedUptimeCheck, WantedPolicy, WantedUptimeCheck } from './alert-policy.ts'
import { fromPolicy, fromUptimeCheck, policyMask, uptimeMask } from './monitoring-messages.ts'

/** Cloud Monitoring allows only one write at a time in each project. Every method rejects with a coded error. */
export interface MonitoringWriter {
  createPolicy(project: string, policy: WantedPolicy, deadline: Deadline): Promise<void>
  /** Writes only the fields that changed. */
  updatePolicy(policy: ChangedPolicy, deadline: Deadline): Promise<void>
  deletePolicy(name: string, deadline: Deadline): Promise<void>
  createUptimeCheck(check: WantedUptimeCheck, deadline: Deadline): Promise<void>
  updateUptimeCheck(check: ChangedUptimeCheck, deadline: Deadline): Promise<void>
  deleteUptimeCheck(name: string, deadline: Deadline): Promise<void>
  close(): Promise<void>
}

const maxResponseBytes = 4 * 1024 * 1024

export function createMonitoringWriter(options: GoogleOptions): MonitoringWriter {
  const connect = openGoogleApi({ ...options, system: 'Cloud Monitoring', maxResponseBytes })
  const policies = connect(options => new AlertPolicyServiceClient(options))
  const uptime = connect(options => new UptimeCheckServiceClient(options))
  return {
    async createPolicy(project, policy, deadline) {
      const name = `projects/${project}`
      await policies.call('CreateAlertPolicy', `${name} "${policy.displayName}"`, deadline, (client, options) =>
        client.createAlertPolicy({ name, alertPolicy: fromPolicy(policy) }, options),
      )
    },
    async updatePolicy(policy, deadline) {
      const request = { alertPolicy: fromPolicy(policy), updateMask: policyMask(policy.changed) }
      await policies.call('UpdateAlertPolicy', policy.name, deadline, (client, options) =>
        client.updateAlertPolicy(request, options),
      )
    },
    async deletePolicy(name, deadline) {
      await policies.call('DeleteAlertPolicy', name, deadline, (client, options) =>
        client.deleteAlertPolicy({ name }, options),
      )
    },
    async createUptimeCheck(check, deadline) {
      const parent = `projects/${check.project}`
      await uptime.call('CreateUptimeCheckConfig', `${parent} "${check.displayName}"`, deadline, (client, options) =>
        client.createUptimeCheckConfig({ parent, uptimeCheckConfig: fromUptimeCheck(check) }, options),
      )
    },
    async updateUptimeCheck(check, deadline) {
      const request = { uptimeCheckConfig: fromUptimeCheck(check), updateMask: uptimeMask(check.changed) }
      await uptime.call('UpdateUptimeCheckConfig', check.name, deadline, (client, options) =>
        client.updateUptimeCheckConfig(request, options),
      )
    },
    async deleteUptimeCheck(name, deadline) {
      await uptime.call('DeleteUptimeCheckConfig', name, deadline, (client, options) =>
        client.deleteUptimeCheckConfig({ name }, options),
      )
    },
    async close() {
      await Promise.all([policies.close(), uptime.close()])
    },
  }
}
