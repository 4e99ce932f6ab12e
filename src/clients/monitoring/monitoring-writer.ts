import { AlertPolicyServiceClient } from '@google-cloud/monitoring/build/src/v3/alert_policy_service_client.js'
import { UptimeCheckServiceClient } from '@google-cloud/monitoring/build/src/v3/uptime_check_service_client.js'
import type { Deadline } from '../../concurrency/deadline.ts'
import { clientOptions, createCaller } from '../google/google-client.ts'
import { createGoogleCredentials } from '../google/google-credentials.ts'
import type { ChangedPolicy, ChangedUptimeCheck, WantedPolicy, WantedUptimeCheck } from './alert-policy.ts'
import type { MonitoringOptions } from './monitoring.ts'
import { fromPolicy, fromUptimeCheck, policyMask, uptimeMask } from './monitoring-messages.ts'

/**
 * What writes alert policies and uptime checks; nothing else is written here. Cloud Monitoring wants these writes one
 * after the other in a project. Every method rejects with a coded error.
 */
export interface MonitoringWriter {
  createPolicy(project: string, policy: WantedPolicy, deadline: Deadline): Promise<void>
  /** Writes what has changed of it, and nothing else. */
  updatePolicy(policy: ChangedPolicy, deadline: Deadline): Promise<void>
  deletePolicy(name: string, deadline: Deadline): Promise<void>
  createUptimeCheck(check: WantedUptimeCheck, deadline: Deadline): Promise<void>
  updateUptimeCheck(check: ChangedUptimeCheck, deadline: Deadline): Promise<void>
  deleteUptimeCheck(name: string, deadline: Deadline): Promise<void>
  close(): Promise<void>
}

const longestAnswerBytes = 4 * 1024 * 1024

export function createMonitoringWriter({
  clock,
  emulatorHost,
  channel,
  onRequest,
}: MonitoringOptions): MonitoringWriter {
  const credentials = emulatorHost === null ? createGoogleCredentials() : null
  const options = () => clientOptions(emulatorHost, longestAnswerBytes, credentials, channel)
  const policies = new AlertPolicyServiceClient(options())
  const uptime = new UptimeCheckServiceClient(options())
  const caller = createCaller({ system: 'Cloud Monitoring', clock, credentials, onRequest })
  return {
    async createPolicy(project, policy, deadline) {
      const name = `projects/${project}`
      await caller('CreateAlertPolicy', `${name} "${policy.displayName}"`, deadline, callOptions =>
        policies.createAlertPolicy({ name, alertPolicy: fromPolicy(policy) }, callOptions),
      )
    },
    async updatePolicy(policy, deadline) {
      await caller('UpdateAlertPolicy', policy.name, deadline, callOptions =>
        policies.updateAlertPolicy(
          { alertPolicy: fromPolicy(policy), updateMask: policyMask(policy.changed) },
          callOptions,
        ),
      )
    },
    async deletePolicy(name, deadline) {
      await caller('DeleteAlertPolicy', name, deadline, callOptions =>
        policies.deleteAlertPolicy({ name }, callOptions),
      )
    },
    async createUptimeCheck(check, deadline) {
      const parent = `projects/${check.project}`
      await caller('CreateUptimeCheckConfig', `${parent} "${check.displayName}"`, deadline, callOptions =>
        uptime.createUptimeCheckConfig({ parent, uptimeCheckConfig: fromUptimeCheck(check) }, callOptions),
      )
    },
    async updateUptimeCheck(check, deadline) {
      await caller('UpdateUptimeCheckConfig', check.name, deadline, callOptions =>
        uptime.updateUptimeCheckConfig(
          { uptimeCheckConfig: fromUptimeCheck(check), updateMask: uptimeMask(check.changed) },
          callOptions,
        ),
      )
    },
    async deleteUptimeCheck(name, deadline) {
      await caller('DeleteUptimeCheckConfig', name, deadline, callOptions =>
        uptime.deleteUptimeCheckConfig({ name }, callOptions),
      )
    },
    async close() {
      await Promise.all([policies.close(), uptime.close()])
    },
  }
}
