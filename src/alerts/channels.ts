import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { createConnectionAge } from '../clients/http/connection-age.ts'
import type { Clock } from '../clock.ts'
import { type Deadline, withDeadline } from '../concurrency/deadline.ts'
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
  /** Implements `alerts.policies: manage`. Null if the policies are not managed. */
  readonly managePolicies: PolicyReconciler | null
  /** The stacks that are watched now, including discovered ones. */
  stacks(): readonly Stack[]
  onApiRequest(api: string, method: string, code: 'OK' | ErrorCode): void
}

/** The methods of Cloud Monitoring that the channels call, so that their counters can start at 0. */
export function channelMethods({ alerts }: Config): string[] {
  if (!alerts.channels.includes('cloud-monitoring')) return []
  return [
    ...publishMethods,
    ...(alerts.policies === 'off' ? [] : inspectMethods),
    ...(alerts.policies === 'manage' ? manageMethods : []),
  ]
}

const publishMethods: readonly string[] = [
  'CreateTimeSeries',
  'CreateMetricDescriptor',
  'GetMetricDescriptor',
  'ListTimeSeries',
]
const inspectMethods: readonly string[] = ['ListAlertPolicies', 'GetNotificationChannel', 'ListUptimeCheckConfigs']
const manageMethods: readonly string[] = ['AlertPolicy', 'UptimeCheckConfig'].flatMap(noun =>
  ['Create', 'Update', 'Delete'].map(verb => `${verb}${noun}`),
)

/** The metadata server is local, so a late response means that there is none. */
const metadataTimeoutMs = 2000

/** Opens the configured channels. Modules of other channels are not loaded. */
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
  if (environment.cloudRunEmulatorHost !== null && emulatorHost === null) return disabledChannel(clock)
  const { createMonitoringClient } = await import('../clients/monitoring/monitoring.ts')
  const { createCloudMonitoringChannel } = await import('./cloud-monitoring.ts')
  const { createReconcileLoop, verifyPolicies, withWatchedStacks } = await import('./policies/policy-reconciler.ts')
  const onRequest = (method: string, code: 'OK' | ErrorCode) => options.onApiRequest('monitoring', method, code)
  const connectionAge = createConnectionAge(clock, () => config.verifyEveryMs)
  const client = createMonitoringClient({ clock, emulatorHost, connectionAge, onRequest })
  const identify = await createIdentifier(options)
  const reconcile = { off: null, verify: verifyPolicies, manage: options.managePolicies }[config.alerts.policies]
  let places: readonly PlaceState[] | null = null
  const reconcileLoop =
    reconcile &&
    createReconcileLoop({
      reconcile,
      context: { client, clock, log, onRequest },
      config: () => withWatchedStacks(config, options.stacks(), places),
      identify,
      onResult: onState,
    })
  const channel = createCloudMonitoringChannel({
    ...options,
    client,
    identify,
    policyError: () => reconcileLoop?.error() ?? null,
  })
  return {
    ...channel,
    publish(snapshot, transitions) {
      channel.publish(snapshot, transitions)
      places = snapshot.discovery
      // The discovered stacks are known only after the first cycle.
      if (snapshot.cycle !== null) reconcileLoop?.start()
    },
    async close() {
      await Promise.all([channel.close(), reconcileLoop?.close(), client.close()])
    },
  }
}

/** States of an emulated Cloud Run must not be published to Google Cloud. */
function disabledChannel(clock: Clock): Channel {
  const name = 'cloud-monitoring'
  const message =
    'publishing is disabled: CLOUD_RUN_EMULATOR_HOST is set but MONITORING_EMULATOR_HOST is not. Set both, or unset both to use Google Cloud.'
  const error = { code: 'EMULATOR_ABSENT', message, at: clock.now() } as const
  return {
    name,
    publish: () => {},
    state: () => ({ channel: name, publishedAt: null, error }),
    close: async () => {},
  }
}

/** Reads the identity once; reads it again only after a failure. */
async function createIdentifier({ config, environment, clock }: ChannelsOptions) {
  const { createMetadataServer } = await import('../clients/google/metadata.ts')
  const { readMonitorIdentity } = await import('./identity.ts')
  const { metadataHost } = environment
  const metadata = metadataHost === null ? null : createMetadataServer(metadataHost)
  // Containers with the same host name often have the same process id as well, usually 1.
  const processName = `${hostname()}-${process.pid}-${randomBytes(4).toString('hex')}`
  let identity: Promise<Identity> | null = null
  const read = (deadline: Deadline) =>
    readMonitorIdentity({ config, environment, metadata, process: processName }, deadline)

  return (signal: AbortSignal): Promise<Identity> => {
    identity ??= withDeadline(clock, metadataTimeoutMs, signal, read).catch(thrown => {
      identity = null
      throw thrown
    })
    return identity
  }
}
