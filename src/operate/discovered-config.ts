import { createCloudRunClient } from '../clients/cloud-run/cloud-run.ts'
import { createCloudRunReaders } from '../clients/cloud-run/cloud-run-reader.ts'
import type { Clock } from '../clock.ts'
import { withDeadline } from '../concurrency/deadline.ts'
import type { Config, Stack } from '../config/config.ts'
import type { Environment } from '../config/environment.ts'
import { absenceReasons, createDiscovery, type WatchedStacks } from '../discovery/discovery.ts'
import type { CheckError } from '../drift/state.ts'
import { DriftwatchError } from '../errors.ts'
import { silentLog } from '../log.ts'
import { didYouMean } from '../suggestion.ts'

/** A configuration in which the discovered stacks are listed. */
export interface DiscoveredConfig {
  readonly config: Config
  /** The error of the first place that could not be listed, so that stacks may be missing; null if all were listed. */
  readonly unlisted: CheckError | null
  /** The stack with that name. Null is valid only if there is one stack. Throws USAGE or STACK_NOT_FOUND. */
  select(command: string, name: string | null): Stack
}

/** Discovers stacks once, if the configuration enables discovery. Never rejects. */
export async function discoverOnce(
  config: Config,
  { environment, clock }: { readonly environment: Environment; readonly clock: Clock },
): Promise<DiscoveredConfig> {
  if (!config.discover)
    return {
      config,
      unlisted: null,
      select: selector(config, { stacks: config.stacks, places: null, unlabelled: [], tooFewStacks: null }),
    }
  const client = createCloudRunClient({ clock, emulatorHost: environment.cloudRunEmulatorHost })
  const discovery = createDiscovery({ clock, log: silentLog })
  try {
    const watched = await withDeadline(clock, config.timeoutMs, undefined, deadline =>
      discovery.discover(config, createCloudRunReaders(client, clock).open(deadline), deadline),
    )
    const unlisted = watched.places?.find(({ error }) => error !== null)?.error ?? null
    const discovered = { ...config, stacks: watched.stacks, discover: null }
    return { config: discovered, unlisted, select: selector(config, watched) }
  } finally {
    await client.close()
  }
}

function selector({ discover }: Config, { stacks, places }: WatchedStacks): DiscoveredConfig['select'] {
  const names = stacks.map(stack => JSON.stringify(stack.name)).join(', ') || 'none'
  return (command, name) => {
    // A single discovered stack does not identify the stack that was meant: more may appear at any time.
    if (name === null && (stacks.length > 1 || discover))
      throw new DriftwatchError('USAGE', `${command}: --stack is required. Known stacks: ${names}.`)
    const stack = name === null ? stacks[0] : stacks.find(each => each.name === name)
    if (stack) return stack
    const reasons = name === null ? [] : absenceReasons(places, name)
    const message = [`stack ${JSON.stringify(name)} not found: the known stacks are ${names}`, ...reasons].join('; ')
    const known = stacks.map(each => each.name)
    throw new DriftwatchError('STACK_NOT_FOUND', `${message}${didYouMean(name ?? '', known)}`)
  }
}
