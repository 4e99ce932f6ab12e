import type { EpochMs } from '../clock.ts'
import type { Config, Stack } from '../config/config.ts'
import type { FoundStack } from '../config/sections/discover.ts'
import type { LabelReading } from './labelled-stacks.ts'

/** How long a stack is remembered after its labels were removed. */
const rememberMs = 24 * 3_600_000

/** A discovered stack whose labels were removed while its service exists. */
export interface UnlabelledStack {
  readonly stack: FoundStack
  readonly since: EpochMs
}

interface Change {
  readonly before: ReadonlyMap<string, FoundStack>
  /** The stacks that are watched now, listed or discovered. */
  readonly watched: readonly Stack[]
  /** The last complete reading of a stack's place; null if the place is not configured. */
  readingOf(stack: FoundStack): LabelReading | null
  readonly now: EpochMs
}

/**
 * The stacks that lost their labels within the last day. The role `off`, a deleted service, a removed place, and another
 * stack with the same name or service end it at once. Pure.
 */
export function listUnlabelled(known: readonly UnlabelledStack[], change: Change): UnlabelledStack[] {
  const { before, watched, readingOf, now } = change
  const lost = [...before.values()].map(stack => ({ stack, since: now }))
  const isKnown = ({ stack }: UnlabelledStack) => known.some(each => each.stack.name === stack.name)
  return [...known, ...lost.filter(each => !isKnown(each))].filter(({ stack, since }) => {
    const reading = readingOf(stack)
    const isThere = reading?.services.has(stack.service) && !reading.off.has(stack.service)
    return isThere && now - since < rememberMs && !watched.some(each => replaces(each, stack))
  })
}

function replaces({ name, project, region, service }: Stack, stack: FoundStack): boolean {
  if (name === stack.name) return true
  return project === stack.project && region === stack.region && service.name === stack.service
}

/** Moves the times after the wall clock was set by `ms`. */
export function moveUnlabelled(known: readonly UnlabelledStack[], ms: number): UnlabelledStack[] {
  return known.map(({ stack, since }) => ({ stack, since: since + ms }))
}

/** The stack as the configuration describes it. */
export function resolveUnlabelled({ discover }: Config, known: readonly UnlabelledStack[]) {
  return known.flatMap(({ stack, since }) => (discover ? [{ stack: discover.stackOf(stack), since }] : []))
}
