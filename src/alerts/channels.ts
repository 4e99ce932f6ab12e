import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import type { Clock } from '../clock.ts'
import { withDeadline } from '../concurrency/deadline.ts'
import type { Config, Stack } from '../config/config.ts'
import type { Environment } from '../config/environment.ts'
import type { PlaceState } from '../drift/places.ts'
import type { ErrorCode } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Channel, ChannelListeners } from './channel.ts'
import type { Identity } from './identity.ts'
import { createLogChannel } from './log.ts'
import type { PolicyReconciler } from './policies/policy-reconciler.ts'

export interface ChannelsOptions extends ChannelListeners {
  readonly config: Config
  readonly environment: Environment
  readonly clock: Clock
  readonly log: Log
  /** What `alerts.policies: manage` does: whoever may write hands it in. Null where nobody may. */
  readonly keepPolicies: PolicyReconciler | null
  /** The stacks that are watched now, discovered ones too. */
  stacks(): readonly Stack[]
  onApiRequest(api: string, method: string, code: 'OK' | ErrorCode): void
}

/** The requests to Cloud Monitoring that the channels of a config make: counters begin at 0 for each. */
export function channelMethods({ alerts }: Config): string[] {
  if (!alerts.channels.includes('cloud-monitoring')) return []
  return [
    ...publishMethods,
    ...(alerts.policies === 'off' ? [] : inspectMethods),
    ...(alerts.policies === 'manage' ? manageMethods : []),
  ]
}

const publishMethods = ['CreateTimeSeries', 'CreateMetricDescriptor', 'GetMetricDescriptor', 'ListTimeSeries']
const inspectMethods = ['ListAlertPolicies', 'GetNotificationChannel', 'ListUptimeCheckConfigs']
const manageMethods = ['AlertPolicy', 'UptimeCheckConfig'].flatMap(noun =>
  ['Create', 'Update', 'Delete'].map(verb => `${verb}${noun}`),
)

/** Long enough for a metadata server, which is always near; short enough where there is none. */
const metadataTimeoutMs = 2000

/** The channels of a config. What is not wanted is not even loaded. */
export async function openChannels(options: ChannelsOptions): Promise<Channel[]> {
  const { config, clock, log } = options
  const wanted = config.alerts.channels
  return [
    ...(wanted.includes('log') ? [createLogChannel(log, clock, options)] : []),
    ...(wanted.includes('cloud-monitoring') ? [await openCloudMonitoring(options)] : []),
  ]
}

async function openCloudMonitoring(options: ChannelsOptions): Promise<Channel> {
  const { config, environment, clock, log, onState } = options
  const { monitoringEmulatorHost: emulatorHost } = environment
  if (environment.cloudRunEmulatorHost !== null && emulatorHost === null) return absentChannel(clock)
  const { createMonitoringClient } = await import('../clients/monitoring/monitoring.ts')
  const { createCloudMonitoringChannel } = await import('./cloud-monitoring.ts')
  const { createDuty, verifyPolicies, withWatched } = await import('./policies/policy-reconciler.ts')
  const onRequest = (method: string, code: 'OK' | ErrorCode) => options.onApiRequest('monitoring', method, code)
  const client = createMonitoringClient({ clock, emulatorHost, onRequest })
  const identify = await createIdentifier(options)
  const duty = { off: null, verify: verifyPolicies, manage: options.keepPolicies }[config.alerts.policies]
  let places: readonly PlaceState[] | null = null
  const looking =
    duty &&
    createDuty({
      duty,
      context: { client, clock, log, onRequest },
      config: () => withWatched(config, options.stacks(), places),
      identify,
      onResult: onState,
    })
  const channel = createCloudMonitoringChannel({
    ...options,
    client,
    identify,
    remark: () => looking?.error() ?? null,
  })
  return {
    ...channel,
    publish(snapshot, transitions) {
      channel.publish(snapshot, transitions)
      places = snapshot.discovery
      // Which stacks there are is known after the first cycle only.
      if (snapshot.cycle !== null) looking?.begin()
    },
    async close() {
      await Promise.all([channel.close(), looking?.close(), client.close()])
    },
  }
}

/** Nothing of an emulated Cloud Run may reach Google. */
function absentChannel(clock: Clock): Channel {
  const name = 'cloud-monitoring'
  const message =
    'nothing is published: CLOUD_RUN_EMULATOR_HOST is set and MONITORING_EMULATOR_HOST is not, and what is emulated never reaches Google'
  const error = { code: 'EMULATOR_ABSENT', message, at: clock.now() } as const
  return {
    name,
    publish: () => {},
    state: () => ({ channel: name, publishedAt: null, error }),
    close: async () => {},
  }
}

/** Asks once who this is, and again only where that failed. */
async function createIdentifier({
  config,
  environment,
  clock,
}: ChannelsOptions): Promise<(signal: AbortSignal) => Promise<Identity>> {
  const { createMetadataServer } = await import('../clients/google/metadata.ts')
  const { readMonitorIdentity } = await import('./identity.ts')
  const { metadataHost } = environment
  const metadata = metadataHost === null ? null : createMetadataServer(metadataHost)
  // Containers that share the name of a host may share a process id too: mostly 1.
  const here = `${hostname()}-${process.pid}-${randomBytes(4).toString('hex')}`
  let known: Promise<Identity> | null = null

  function ask(ending: AbortSignal): Promise<Identity> {
    return withDeadline(clock, metadataTimeoutMs, ending, deadline =>
      readMonitorIdentity({ config, environment, metadata, process: here }, deadline),
    )
  }

  return signal => {
    known ??= ask(signal).catch(thrown => {
      known = null
      throw thrown
    })
    return known
  }
}
