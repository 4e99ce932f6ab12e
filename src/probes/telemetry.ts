import type { TelemetryReader } from '../clients/monitoring/telemetry-reader.ts'
import type { Clock } from '../clock.ts'
import { DriftwatchError } from '../errors.ts'
import { rolloutOf } from '../release/release.ts'
import { sinceCreation, windowsOf } from '../release/rollout-telemetry.ts'
import type { Probe } from './probe.ts'
import type { StackReader } from './stack-reader.ts'

/** Points can arrive minutes late, but not later than this. */
const settledAfterMs = 3_600_000

/** Observes requests and errors of the watched services after the last rollout, and for the same time before it. */
export function createTelemetryProbe(
  reader: StackReader,
  telemetry: TelemetryReader | null,
  clock: Clock,
): Probe<'telemetry'> {
  return {
    kind: 'telemetry',
    async observe(stack) {
      const now = clock.now()
      const { afterRollout } = stack
      const observed = await reader.service(stack)
      if (!observed || !afterRollout) return null
      if (!telemetry) {
        const message =
          'Cloud Monitoring is not available: CLOUD_RUN_EMULATOR_HOST is set, but MONITORING_EMULATOR_HOST is not'
        throw new DriftwatchError('EMULATOR_ABSENT', message)
      }
      const { release } = observed
      const rollout = rolloutOf(release)
      const windows = rollout && windowsOf(rollout, now, afterRollout)
      if (!windows) return { rollout, window: null, services: [] }
      const serving = release.serving.map(({ name }) => name)
      // The metrics of an earlier service of the same name are not a baseline.
      const baselineOf = (service: string) =>
        service === stack.service.name ? sinceCreation(windows.before, observed.service) : windows.before
      const services = afterRollout.services.map(async service => {
        const revisions = service === stack.service.name ? serving : null
        const settled = windows.before.to < now - settledAfterMs
        const [after, before] = await Promise.all([
          telemetry.counts({ place: stack, service, revisions, ...windows.after, settled: false }),
          telemetry.counts({ place: stack, service, revisions: null, ...baselineOf(service), settled }),
        ])
        return { service, after, before }
      })
      return { rollout, window: windows.after, services: await Promise.all(services) }
    },
  }
}
