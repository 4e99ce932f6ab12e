import { createCloudRunClient } from '../clients/cloud-run/cloud-run.ts'
import { createCloudRunReaders } from '../clients/cloud-run/cloud-run-reader.ts'
import type { Clock } from '../clock.ts'
import { startDeadline } from '../concurrency/deadline.ts'
import type { Config, Stack } from '../config/config.ts'
import type { Environment } from '../config/environment.ts'
import { absenceReasons, createDiscovery, type WatchedStacks } from '../discovery/discovery.ts'
import type { CheckError } from '../drift/state.ts'
import { DriftwatchError } from '../errors.ts'
import { silentLog } from '../log.ts'

/** A config that lists what it would discover. */
export interface DiscoveredConfig {
  readonly config: Config
  /** The first place that could not be listed: there may be stacks that are not in the config. Null: they all are. */
  readonly unlisted: CheckError | null
  /** The stack of a name; throws STACK_NOT_FOUND, and why that may be. Of several stacks one must be named. */
  select(command: string, name: string | null): Stack
}

/** Looks once for the stacks that the config discovers, if it discovers any. Never rejects. */
export async function discoverOnce(
  config: Config,
  { environment, clock }: { readonly environment: Environment; readonly clock: Clock },
): Promise<DiscoveredConfig> {
  if (!config.discover)
    return { config, unlisted: null, select: selector(config, { stacks: config.stacks, places: null }) }
  const client = createCloudRunClient({ clock, emulatorHost: environment.cloudRunEmulatorHost })
  const deadline = startDeadline(clock, config.timeoutMs)
  try {
    const reader = createCloudRunReaders({ client, clock }).open(deadline)
    const discovery = createDiscovery({ clock, log: silentLog })
    const found = await discovery.discover(config, reader, deadline)
    const unlisted = found.places?.find(({ error }) => error !== null)?.error ?? null
    return {
      config: { ...config, stacks: found.stacks, discover: null },
      unlisted,
      select: selector(config, found),
    }
  } finally {
    deadline.cancel()
    await client.close()
  }
}

function selector({ discover }: Config, found: WatchedStacks): DiscoveredConfig['select'] {
  const { stacks } = found
  const names = stacks.map(stack => stack.name).join(', ') || 'none'
  return (command, name) => {
    // What is found today may have company tomorrow.
    if (name === null && (stacks.length > 1 || discover))
      throw new DriftwatchError('USAGE', `${command}: --stack is missing: the config has ${names}`)
    const stack = name === null ? stacks[0] : stacks.find(each => each.name === name)
    if (stack) return stack
    const reasons = name === null ? [] : absenceReasons(found.places, name)
    const message = [`the config has no stack ${JSON.stringify(name)}: it has ${names}`, ...reasons].join('; ')
    throw new DriftwatchError('STACK_NOT_FOUND', message)
  }
}
