import type { Config, DiscoverConfig, Stack } from '../config/config.ts'
import { type DiscoveredPlace, discoveryLabels, type FoundStack } from '../config/sections/discover.ts'
import type { LabelProblem } from '../drift/places.ts'
import type { LabelledStack } from './labelled-stacks.ts'

/** Who is watched: the listed stacks, filled in from labels, and behind them the discovered ones. */
export interface MergedStacks {
  readonly stacks: readonly Stack[]
  /** The discovered ones as labels describe them, for the next time. */
  readonly found: ReadonlyMap<string, FoundStack>
  readonly problems: readonly StackProblem[]
}

/** What is wrong with the labels of a stack in one place. */
export interface StackProblem extends LabelProblem {
  readonly place: DiscoveredPlace
}

/**
 * Merges the listed stacks with what labels say. `before` are the discovered ones that were watched so far: what labels
 * leave open about them stays as it was, and nothing is ever picked at random. Pure.
 */
export function mergeStacks(
  { stacks: listed, discover }: Pick<Config, 'stacks' | 'discover'>,
  labelled: readonly LabelledStack[],
  before: ReadonlyMap<string, FoundStack>,
): MergedStacks {
  if (!discover) return { stacks: listed, found: new Map(), problems: [] }
  const owners = new Map(labelled.map(each => [each, listedOwner(each, listed)]))
  const free = labelled.filter(each => owners.get(each) === null)
  const judged = [...Map.groupBy(free, ({ name }) => name)].map(([name, alike]) =>
    judgeAlike(alike, listed.find(stack => stack.name === name) ?? null, before.get(name) ?? null),
  )
  const found = new Map(judged.flatMap(({ stack }) => (stack ? [[stack.name, stack] as const] : [])))
  const filled = listed.map(stack => {
    const own = labelled.filter(each => owners.get(each) === stack)
    return fill(stack, own, discover)
  })
  return {
    stacks: [...filled.map(({ stack }) => stack), ...[...found.values()].map(discover.stackOf)],
    found,
    problems: [...judged, ...filled].flatMap(({ problems }) => problems),
  }
}

/** The listed stack that these labels speak of: of the same name or service, and in no case of another service. */
function listedOwner({ name, place, services }: LabelledStack, listed: readonly Stack[]): Stack | null {
  const here = listed.filter(({ project, region }) => project === place.project && region === place.region)
  const byService = here.find(stack => services.includes(stack.service.name))
  if (byService) return byService
  return (services.length === 0 && here.find(stack => stack.name === name)) || null
}

/** What the listed stack leaves out is taken from the labels; its own keys win. */
function fill(stack: Stack, labelled: readonly LabelledStack[], discover: DiscoverConfig) {
  const [first] = labelled
  if (!first) return { stack, problems: [] }
  const { name, project, region, service } = stack
  const whole = { ...first, jobs: [...new Set(labelled.flatMap(({ jobs }) => jobs))] }
  const found = { name, project, region, labels: first.labels, service: service.name, job: only(whole.jobs) }
  const like = discover.stackOf(found)
  return {
    stack: { ...stack, labels: { ...like.labels, ...stack.labels }, job: stack.job ?? like.job },
    problems: [...ambiguities(first), ...(stack.job ? [] : missingJob(whole))],
  }
}

interface Judged {
  readonly stack: FoundStack | null
  readonly problems: readonly StackProblem[]
}

/** All that carries one name and belongs to no listed stack. */
function judgeAlike(alike: readonly LabelledStack[], listed: Stack | null, before: FoundStack | null): Judged {
  if (listed) {
    const { project, region, service } = listed
    const taken = `the config lists a stack of that name, service ${service.name} in ${project}, ${region}: choose another name`
    return { stack: null, problems: alike.map(each => problem(each, taken)) }
  }
  const [first, second] = alike as [LabelledStack, LabelledStack?]
  if (!second) return judge(first, isOf(before, first) ? before : null)
  // The one that is watched stays. That of two new ones neither is watched may not depend on who answered first.
  const known = alike.find(each => isOf(before, each)) ?? null
  const problems = alike.map(each => {
    const elsewhere = alike.filter(other => other !== each).map(({ place }) => `${place.project}, ${place.region}`)
    return problem(each, `a stack of that name is labelled in ${elsewhere.join(' and in ')} too: names must be unique`)
  })
  return { stack: known && judge(known, before).stack, problems }
}

/** One stack, by its labels, and by what was known of it where they leave that open. */
function judge(labelled: LabelledStack, before: FoundStack | null): Judged {
  const { name, place, services, jobs, labels } = labelled
  const service = only(services) ?? before?.service ?? null
  const kept = jobs.length > 1 || place.jobs === 'required' ? (before?.job ?? null) : null
  const job = only(jobs) ?? kept
  const { project, region } = place
  return {
    stack: service === null ? null : { name, project, region, labels, service, job },
    problems: [...ambiguities(labelled), ...missingService(labelled), ...missingJob(labelled)],
  }
}

/** Two of a kind under one name. */
function ambiguities(labelled: LabelledStack): StackProblem[] {
  return (['services', 'jobs'] as const).flatMap(kind => {
    const names = labelled[kind]
    return names.length > 1 ? [problem(labelled, `${kind} ${names.join(' and ')} carry it, and one is meant`)] : []
  })
}

/** Where the service was deleted its check says so too, for as long as it is remembered what it was. */
function missingService(labelled: LabelledStack): StackProblem[] {
  if (labelled.services.length > 0) return []
  return [problem(labelled, `job ${labelled.jobs.join(' and ')} carries it, and no service does`)]
}

function missingJob(labelled: LabelledStack): StackProblem[] {
  const { place, services, jobs } = labelled
  if (place.jobs === 'optional' || jobs.length > 0) return []
  return [problem(labelled, `service ${services.join(' and ')} carries it, and no job does`)]
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
