import type { Config, DiscoverConfig, Stack } from '../config/config.ts'
import { type DiscoveredPlace, discoveryLabels, type FoundStack } from '../config/sections/discover.ts'
import type { LabelProblem } from '../drift/places.ts'
import type { LabelledStack } from './labelled-stacks.ts'

/** The listed stacks, completed from labels, followed by the discovered ones. */
export interface MergedStacks {
  readonly stacks: readonly Stack[]
  /** The discovered stacks, to pass as `before` to the next merge. */
  readonly found: ReadonlyMap<string, FoundStack>
  /** The listed stacks that labels name too. */
  readonly labelled: readonly Stack[]
  readonly problems: readonly StackProblem[]
}

export interface StackProblem extends LabelProblem {
  readonly place: DiscoveredPlace
}

/**
 * Merges the listed stacks with the labelled ones. If labels are ambiguous, the stack keeps its resources from `before`,
 * the stacks discovered so far; an ambiguous new stack is not watched. Pure.
 */
export function mergeStacks(
  { stacks: listed, discover }: Pick<Config, 'stacks' | 'discover'>,
  labelled: readonly LabelledStack[],
  before: ReadonlyMap<string, FoundStack>,
): MergedStacks {
  if (!discover) return { stacks: listed, found: new Map(), labelled: [], problems: [] }
  const owners = new Map(labelled.map(each => [each, listedOwner(each, listed)]))
  const free = labelled.filter(each => owners.get(each) === null)
  const resolved = [...Map.groupBy(free, ({ name }) => name)].map(([name, namesakes]) =>
    resolveNamesakes(namesakes, listed.find(stack => stack.name === name) ?? null, before.get(name) ?? null),
  )
  const found = new Map(resolved.flatMap(({ stack }) => (stack ? [[stack.name, stack] as const] : [])))
  const filled = listed.map(stack => {
    const own = labelled.filter(each => owners.get(each) === stack)
    return completeListed(stack, own, discover)
  })
  return {
    stacks: [...filled.map(({ stack }) => stack), ...[...found.values()].map(discover.stackOf)],
    found,
    labelled: listed.filter(stack => [...owners.values()].includes(stack)),
    problems: [...resolved, ...filled].flatMap(({ problems }) => problems),
  }
}

/** The listed stack that the labels refer to: the one with the same service or, if no service is labelled, the same name. */
function listedOwner({ name, place, services }: LabelledStack, listed: readonly Stack[]): Stack | null {
  const here = listed.filter(({ project, region }) => project === place.project && region === place.region)
  const byService = here.find(stack => services.includes(stack.service.name))
  if (byService) return byService
  return (services.length === 0 && here.find(stack => stack.name === name)) || null
}

/** Completes a listed stack from labels. Keys of the configuration take precedence. */
function completeListed(stack: Stack, labelled: readonly LabelledStack[], discover: DiscoverConfig) {
  const [first] = labelled
  if (!first) return { stack, problems: [] }
  const { name, project, region, service } = stack
  const combined = { ...first, jobs: [...new Set(labelled.flatMap(({ jobs }) => jobs))] }
  const found = { name, project, region, labels: first.labels, service: service.name, job: only(combined.jobs) }
  const like = discover.stackOf(found)
  return {
    stack: { ...stack, labels: { ...like.labels, ...stack.labels }, job: stack.job ?? like.job },
    problems: [...ambiguities(first), ...(stack.job ? [] : missingJob(combined))],
  }
}

interface ResolvedStack {
  readonly stack: FoundStack | null
  readonly problems: readonly StackProblem[]
}

/** Resolves the labelled stacks of one name that belong to no listed stack. */
function resolveNamesakes(
  namesakes: readonly LabelledStack[],
  listed: Stack | null,
  before: FoundStack | null,
): ResolvedStack {
  if (listed) {
    const { project, region, service } = listed
    const taken = `the configuration lists another stack with this name (service ${service.name} in ${project}, ${region}); choose a different name`
    return { stack: null, problems: namesakes.map(each => problem(each, taken)) }
  }
  const [first, second] = namesakes as [LabelledStack, LabelledStack?]
  if (!second) return resolveStack(first, isOf(before, first) ? before : null)
  // A known stack stays. Of two new ones neither is watched, whichever place was listed first.
  const known = namesakes.find(each => isOf(before, each)) ?? null
  const problems = namesakes.map(each => {
    const elsewhere = namesakes.filter(other => other !== each).map(({ place }) => `${place.project}, ${place.region}`)
    return problem(
      each,
      `a stack with this name is also labelled in ${elsewhere.join(' and in ')}; names must be unique`,
    )
  })
  return { stack: known && resolveStack(known, before).stack, problems }
}

/** Takes the service and job from the labels or, if those are ambiguous, from `before`. */
function resolveStack(labelled: LabelledStack, before: FoundStack | null): ResolvedStack {
  const { name, place, services, jobs, labels } = labelled
  const service = only(services) ?? before?.service ?? null
  const knownJob = jobs.length > 1 || place.jobs === 'required' ? (before?.job ?? null) : null
  const job = only(jobs) ?? knownJob
  const { project, region } = place
  return {
    stack: service === null ? null : { name, project, region, labels, service, job },
    problems: [...ambiguities(labelled), ...missingService(labelled), ...missingJob(labelled)],
  }
}

function ambiguities(labelled: LabelledStack): StackProblem[] {
  return (['services', 'jobs'] as const).flatMap(kind => {
    const names = labelled[kind]
    return names.length > 1
      ? [problem(labelled, `${kind} ${names.join(' and ')} have this label; only one is allowed`)]
      : []
  })
}

function missingService(labelled: LabelledStack): StackProblem[] {
  if (labelled.services.length > 0) return []
  return [problem(labelled, `job ${labelled.jobs.join(' and ')} has this label, but no service has it`)]
}

function missingJob(labelled: LabelledStack): StackProblem[] {
  const { place, services, jobs } = labelled
  if (place.jobs === 'optional' || jobs.length > 0) return []
  return [problem(labelled, `service ${services.join(' and ')} has this label, but no job has it`)]
}

function problem({ name, place }: LabelledStack, what: string): StackProblem {
  return { place, stack: name, message: `${discoveryLabels.stack}=${name}: ${what}` }
}

function isOf(before: FoundStack | null, { place }: LabelledStack): boolean {
  return before !== null && before.project === place.project && before.region === place.region
}

function only(names: readonly string[]): string | null {
  const [first = null] = names
  return names.length === 1 ? first : null
}
