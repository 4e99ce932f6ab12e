import { AlertPolicyServiceClient } from '@google-cloud/monitoring/build/src/v3/alert_policy_service_client.js'
import { UptimeCheckServiceClient } from '@google-cloud/monitoring/build/src/v3/uptime_check_service_client.js'
import type { Deadline } from '../../concurrency/deadline.ts'
import { type GoogleOptions, openGoogleApi } from '../google/google-client.ts'
import type { ChangedPolicy, ChangedUptimeCheck, WantedPolicy, WantedUptimeCheck } from './alert-policy.ts'
import { fromPolicy, fromUptimeCheck, policyMask, uptimeMask } from './monitoring-messages.ts'

/**
 * Writes alert policies and uptime checks. Cloud Monitoring requires that the writes of one project are made one after
 * another. Every method rejects with a coded error.
 */
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
  const { clientOptions, call } = openGoogleApi({ ...options, system: 'Cloud Monitoring', maxResponseBytes })
  const policies = new AlertPolicyServiceClient(clientOptions())
  const uptime = new UptimeCheckServiceClient(clientOptions())
  return {
    async createPolicy(project, policy, deadline) {
      const name = `projects/${project}`
      await call('CreateAlertPolicy', `${name} "${policy.displayName}"`, deadline, callOptions =>
        policies.createAlertPolicy({ name, alertPolicy: fromPolicy(policy) }, callOptions),
      )
    },
    async updatePolicy(policy, deadline) {
      await call('UpdateAlertPolicy', policy.name, deadline, callOptions =>
        policies.updateAlertPolicy(
          { alertPolicy: fromPolicy(policy), updateMask: policyMask(policy.changed) },
          callOptions,
        ),
      )
    },
    async deletePolicy(name, deadline) {
      await call('DeleteAlertPolicy', name, deadline, callOptions => policies.deleteAlertPolicy({ name }, callOptions))
    },
    async createUptimeCheck(check, deadline) {
      const parent = `projects/${check.project}`
      await call('CreateUptimeCheckConfig', `${parent} "${check.displayName}"`, deadline, callOptions =>
        uptime.createUptimeCheckConfig({ parent, uptimeCheckConfig: fromUptimeCheck(check) }, callOptions),
      )
    },
    async updateUptimeCheck(check, deadline) {
      await call('UpdateUptimeCheckConfig', check.name, deadline, callOptions =>
        uptime.updateUptimeCheckConfig(
          { uptimeCheckConfig: fromUptimeCheck(check), updateMask: uptimeMask(check.changed) },
          callOptions,
        ),
      )
    },
    async deleteUptimeCheck(name, deadline) {
      await call('DeleteUptimeCheckConfig', name, deadline, callOptions =>
        uptime.deleteUptimeCheckConfig({ name }, callOptions),
      )
    },
    async close() {
      await Promise.all([policies.close(), uptime.close()])
    },
  }
}
