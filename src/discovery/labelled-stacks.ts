import { type DiscoveredPlace, discoveryLabels, discoveryRoles } from '../config/sections/discover.ts'
import type { LabelProblem } from '../drift/places.ts'

/** A Cloud Run service or job, as far as discovery looks at it. */
export interface Labelled {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
}

/** What the labels of one place say of one stack. */
export interface LabelledStack {
  readonly name: string
  readonly place: DiscoveredPlace
  /** More than one is one too many, as with jobs. */
  readonly services: readonly string[]
  readonly jobs: readonly string[]
  /** The other labels of its service, else of its job. */
  readonly labels: Readonly<Record<string, string>>
}

export interface LabelReading {
  readonly stacks: readonly LabelledStack[]
  /** Labels that name no stack. */
  readonly problems: readonly LabelProblem[]
}

/** Reads the labels of everything in a place. Pure. */
export function readLabels(
  place: DiscoveredPlace,
  services: Iterable<Labelled>,
  jobs: Iterable<Labelled>,
): LabelReading {
  const labelled = [...ofKind('service', services), ...ofKind('job', jobs)]
  const problems = labelled.flatMap(resource => {
    const message = problemOf(resource)
    return message === null ? [] : [{ stack: resource.stack, message }]
  })
  const sound = labelled.filter(resource => problemOf(resource) === null)
  const byName = Map.groupBy(sound, ({ stack }) => stack)
  return { stacks: [...byName].map(([name, resources]) => stackOf(name, place, resources)), problems }
}

interface LabelledResource extends Labelled {
  readonly kind: keyof typeof discoveryRoles
  readonly stack: string
}

function ofKind(kind: LabelledResource['kind'], resources: Iterable<Labelled>): LabelledResource[] {
  return [...resources].flatMap(({ name, labels }) => {
    const stack = labels[discoveryLabels.stack]
    return stack === undefined ? [] : [{ kind, name, labels, stack }]
  })
}

function problemOf({ kind, name, labels, stack }: LabelledResource): string | null {
  const carries = `${kind} ${name} carries ${discoveryLabels.stack}=${stack}`
  if (!isStackName(stack)) return `${carries}, which is no name of a stack: ${nameRule}`
  const role = labels[discoveryLabels.role]
  if (role === discoveryRoles[kind]) return null
  const found = role === undefined ? `no ${discoveryLabels.role}` : `${discoveryLabels.role}=${role}`
  return `${carries} and ${found}: a ${kind} needs ${discoveryLabels.role}=${discoveryRoles[kind]}`
}

const nameRule = 'it is lower-case letters, digits and dashes, begins with a letter, and is not `gate`'

function isStackName(name: string): boolean {
  return /^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name) && name !== 'gate'
}

function stackOf(name: string, place: DiscoveredPlace, resources: readonly LabelledResource[]): LabelledStack {
  const named = (kind: LabelledResource['kind']) => resources.filter(each => each.kind === kind).map(each => each.name)
  // Services come first.
  const labels = Object.entries(resources[0]?.labels ?? {}).filter(([key]) => !ownKeys.includes(key))
  return {
    name,
    place,
    services: named('service').toSorted(),
    jobs: named('job').toSorted(),
    labels: Object.fromEntries(labels),
  }
}

const ownKeys: readonly string[] = Object.values(discoveryLabels)
