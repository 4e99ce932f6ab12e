import { type MonitorIdentity, readMonitorIdentity } from '../../alerts/identity.ts'
import { type AlertsPlan, inspectAlerts } from '../../alerts/policies/inspect.ts'
import { createMetadataServer } from '../../clients/google/metadata.ts'
import { createMonitoringClient } from '../../clients/monitoring/monitoring.ts'
import { createMonitoringWriter } from '../../clients/monitoring/monitoring-writer.ts'
import type { Clock } from '../../clock.ts'
import { withDeadline } from '../../concurrency/deadline.ts'
import type { Config } from '../../config/config.ts'
import type { Environment } from '../../config/environment.ts'
import { DriftwatchError } from '../../errors.ts'
import { applyAlerts, type FailedStep } from './apply-alerts.ts'

export interface AlertsOptions {
  readonly config: Config
  readonly environment: Environment
  readonly clock: Clock
  readonly signal: AbortSignal
  /** The project of the metrics and policies; null: that of the metadata server, or else of the first stack. */
  readonly project: string | null
  /** The service that runs the monitor; null: `K_SERVICE`, or else `driftwatch`. */
  readonly service: string | null
}

/** Plans and applies the alert policies of a monitor. */
export interface AlertsOperation {
  plan(): Promise<AlertsPlan>
  /** Applies the steps of the plan and resolves with those that failed. */
  apply(plan: AlertsPlan, onProgress: (line: string) => void): Promise<FailedStep[]>
  close(): Promise<void>
}

const metadataTimeoutMs = 2000

/** Throws EMULATOR_ABSENT if Cloud Run is emulated and Cloud Monitoring is not. */
export function openAlerts({ config, environment, clock, signal, project, service }: AlertsOptions): AlertsOperation {
  const { monitoringEmulatorHost: emulatorHost, metadataHost } = environment
  if (environment.cloudRunEmulatorHost !== null && emulatorHost === null) {
    throw new DriftwatchError(
      'EMULATOR_ABSENT',
      'CLOUD_RUN_EMULATOR_HOST is set but MONITORING_EMULATOR_HOST is not. Set both, or unset both to use Google Cloud.',
    )
  }
  const client = createMonitoringClient({ clock, emulatorHost })
  const writer = createMonitoringWriter({ clock, emulatorHost })

  async function identify(): Promise<MonitorIdentity> {
    const metadata = project === null && metadataHost !== null ? createMetadataServer(metadataHost) : null
    const identity = await withDeadline(clock, metadataTimeoutMs, signal, deadline =>
      readMonitorIdentity({ config, environment, metadata, process: '' }, deadline),
    )
    return { project: project ?? identity.project, monitor: service ?? identity.monitor }
  }

  return {
    plan: async () => inspectAlerts({ client, config, clock, signal }, await identify()),
    apply: (plan, onProgress) => applyAlerts(plan, { client, writer, clock, signal, onProgress }),
    async close() {
      await Promise.all([client.close(), writer.close()])
    },
  }
}
