import { type DiscoveredPlace, discoveryLabels, discoveryRoles, offRole } from '../config/sections/discover.ts'
import type { LabelProblem } from '../drift/places.ts'

/** The part of a Cloud Run service or job that discovery reads. */
export interface Labelled {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
}

/** The resources of one place that are labelled with the same stack name. */
export interface LabelledStack {
  readonly name: string
  readonly place: DiscoveredPlace
  /** Only one is allowed. */
  readonly services: readonly string[]
  /** Only one is allowed. */
  readonly jobs: readonly string[]
  /** The other labels of the service, or of the job if there is no service. */
  readonly labels: Readonly<Record<string, string>>
}

export interface LabelReading {
  readonly stacks: readonly LabelledStack[]
  /** Resources with invalid labels. */
  readonly problems: readonly LabelProblem[]
  /** The services that exist, whatever their labels. */
  readonly services: ReadonlySet<string>
  /** The services whose role is `off`. */
  readonly off: ReadonlySet<string>
  /** The stacks that their labels name. */
  readonly offStacks: ReadonlySet<string>
}

/** Reads the labels of the services and jobs of a place. Pure. */
export function readLabels(
  place: DiscoveredPlace,
  services: Iterable<Labelled>,
  jobs: Iterable<Labelled>,
): LabelReading {
  const all = [...services]
  const off = new Set(all.filter(isOff).map(({ name }) => name))
  const labelled = [...ofKind('service', all), ...ofKind('job', jobs)].filter(each => !isOff(each))
  const problems = labelled.flatMap(resource => {
    const message = problemOf(resource)
    return message === null ? [] : [{ stack: resource.stack, message }]
  })
  const valid = labelled.filter(resource => problemOf(resource) === null)
  const byName = Map.groupBy(valid, ({ stack }) => stack)
  return {
    stacks: [...byName].map(([name, resources]) => stackOf(name, place, resources)),
    problems,
    services: new Set(all.map(({ name }) => name)),
    off,
    offStacks: new Set(all.filter(isOff).flatMap(({ labels }) => labels[discoveryLabels.stack] ?? [])),
  }
}

function isOff({ labels }: Labelled): boolean {
  return labels[discoveryLabels.role] === offRole
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
  const stackLabel = `${discoveryLabels.stack}=${stack}`
  if (!isStackName(stack))
    return `${kind} ${name} has the label ${stackLabel}, which is not a valid stack name: ${nameRule}`
  const role = labels[discoveryLabels.role]
  if (role === discoveryRoles[kind]) return null
  const needed = `a ${kind} needs ${discoveryLabels.role}=${discoveryRoles[kind]}`
  return role === undefined
    ? `${kind} ${name} has the label ${stackLabel} but no ${discoveryLabels.role}: ${needed}`
    : `${kind} ${name} has the labels ${stackLabel} and ${discoveryLabels.role}=${role}: ${needed}`
}

const nameRule = 'expected lower-case letters, digits and dashes, starting with a letter, and not "gate"'

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
