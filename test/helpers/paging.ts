import { EventEmitter, once } from 'node:events'
import type { Test } from 'tap'
import type { Incident } from '../../sandbox/monitoring/incidents.ts'
import { type Monitoring, type MonitoringOptions, startMonitoring } from '../../sandbox/monitoring.ts'
import type { Channel } from '../../src/alerts/channel.ts'
import { createCloudMonitoringChannel } from '../../src/alerts/cloud-monitoring.ts'
import type { Identity } from '../../src/alerts/identity.ts'
import { inspectAlerts } from '../../src/alerts/policies/inspect.ts'
import type { GoogleOptions } from '../../src/clients/google/google-client.ts'
import { createMonitoringClient, type MonitoringClient } from '../../src/clients/monitoring/monitoring.ts'
import { createMonitoringWriter, type MonitoringWriter } from '../../src/clients/monitoring/monitoring-writer.ts'
import { systemClock } from '../../src/clock.ts'
import { createLog } from '../../src/cloud-log.ts'
import type { Config } from '../../src/config/config.ts'
import { parseConfig } from '../../src/config/load.ts'
import type { Snapshot } from '../../src/drift/store.ts'
import type { Log } from '../../src/log.ts'
import { applyAlerts, type FailedStep } from '../../src/operate/alerts/apply-alerts.ts'
import { noon } from './states.ts'
import { createVirtualClock, type VirtualClock } from './virtual-clock.ts'

export const project = 'acme-production'
export const onCall = `projects/${project}/notificationChannels/4093201`

/** A config with these alerts, and stacks of these names. */
export function buildAlertsConfig(
  alerts: object = {},
  names: readonly string[] = ['runtime'],
  top: object = {},
): Config {
  const stacks = names.map(name => ({ name, project, region: 'us-central1', service: { name } }))
  const settings = { notificationChannels: [onCall], ...alerts }
  return parseConfig(JSON.stringify({ stacks, ...top, alerts: settings }), 'test.yaml', {})
}

/** A monitor's channel to an emulated Cloud Monitoring, both on a clock that the test advances. */
export interface Paging {
  readonly monitoring: Monitoring
  readonly client: MonitoringClient
  readonly writer: MonitoringWriter
  readonly clock: VirtualClock
  readonly config: Config
  readonly channel: Channel
  /** Applies the policies; resolves with the failures. */
  apply(config?: Config): Promise<FailedStep[]>
  /** Publishes and waits; resolves with the outcome. */
  publish(snapshot: Snapshot, by?: Channel): Promise<'ok' | 'failed'>
  /** Advances the clock, and evaluates the policies. */
  pass(ms: number): void
  /** The open incidents, as `runtime/job-image drifted`. */
  open(): string[]
  /** Starts another instance of the same monitor. */
  join(instance: string, who?: Partial<Identity>): Channel
  /** Replaces this instance with another one. */
  restart(instance: string): Promise<Channel>
}

export interface PagingOptions extends MonitoringOptions {
  readonly config?: Config
  readonly log?: Log
  /** The connection to Cloud Monitoring; default: as to an emulator. */
  way?(monitoring: Monitoring): Promise<Pick<GoogleOptions, 'emulatorHost' | 'channel'>>
}

export async function buildPaging(t: Test, options: PagingOptions = {}): Promise<Paging> {
  // Out of step with Cloud Monitoring, which evaluates every half minute.
  const clock = createVirtualClock(noon + 7000)
  const monitoring = await startMonitoring({ now: clock.now, notificationChannels: [onCall], ...options })
  const way = (await options.way?.(monitoring)) ?? { emulatorHost: monitoring.host }
  // Retries wait in real time, because no test advances the clock during a call.
  const retrying = { ...clock, sleep: systemClock.sleep }
  const client = createMonitoringClient({ clock: retrying, ...way })
  const writer = createMonitoringWriter({ clock: retrying, ...way })
  const config = options.config ?? buildAlertsConfig()
  const log = options.log ?? createLog({ level: 'silent', clock })
  const published = new EventEmitter()
  const channels: Channel[] = []
  const openChannel = (instance: string, who: Partial<Identity> = {}) => {
    const channel = createCloudMonitoringChannel({
      client,
      config,
      identify: async () => ({ ...identityOf(instance), ...who }),
      clock,
      log,
      onPublished: (_, result) => published.emit('published', result),
      onState: () => {},
    })
    channels.push(channel)
    return channel
  }
  t.teardown(async () => {
    await Promise.all([...channels.map(each => each.close()), client.close(), writer.close()])
    await monitoring.close()
  })
  const context = {
    monitoring,
    client,
    writer,
    clock,
    config,
    channel: openChannel('instance-a'),
    async apply(wanted = config) {
      const signal = new AbortController().signal
      const plan = await inspectAlerts({ client, config: wanted, clock, signal }, { project, monitor: 'driftwatch' })
      return applyAlerts(plan, { client, writer, clock, signal, onProgress: () => {} })
    },
    async publish(snapshot: Snapshot, by?: Channel) {
      const [result] = await Promise.all([once(published, 'published'), (by ?? context.channel).publish(snapshot, [])])
      return result[0] as 'ok' | 'failed'
    },
    pass(ms: number) {
      clock.advance(ms)
      monitoring.evaluate()
    },
    open: () => monitoring.incidents.filter(({ closedAt }) => closedAt === null).map(incidentName),
    join: openChannel,
    async restart(instance: string) {
      await context.channel.close()
      context.channel = openChannel(instance)
      return context.channel
    },
  }
  return context
}

export function identityOf(instance: string): Identity {
  return { project, location: 'us-central1', monitor: 'driftwatch', instance }
}

/** `runtime/job-image drifted`, `silent`. */
export function incidentName({ labels, policy }: Incident): string {
  const kind = policy.slice(policy.lastIndexOf(' ') + 1)
  return labels.stack === undefined ? kind : `${labels.stack}/${labels.check} ${kind}`
}
