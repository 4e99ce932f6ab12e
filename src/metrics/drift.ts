import { statuses } from '../checks/status.ts'
import type { EpochMs } from '../clock.ts'
import type { State } from '../drift/state.ts'
import type { Snapshot, StackStates } from '../drift/store.ts'
import { type ByteTemplate, createByteTemplate } from '../report/byte-template.ts'
import { type MetricDefinition, metricDefinitions } from './definitions.ts'
import { writeLabels, writeMetric, writeSample } from './exposition.ts'

/** What is known of every check, in the exposition format: parts that follow one another, of which some are written anew next time. */
export type DriftMetrics = (snapshot: Snapshot) => readonly Buffer[]

/**
 * Renders one snapshot after another. Written out by hand, and the lines of a stack are kept for as long as they would be
 * the same, so that it costs little in a fleet. A stack that has left the config leaves nothing behind.
 */
export function createDriftMetrics(): DriftMetrics {
  let kept: ReadonlyMap<string, Kept> = new Map()
  let lines: readonly StackLines[] = []
  let steady = joinSteady(lines)
  return snapshot => {
    kept = new Map(snapshot.stacks.map(stack => [stack.name, renew(stack, kept.get(stack.name))]))
    const before = lines
    lines = [...kept.values()].map(each => each.lines)
    if (!haveSameElements(before, lines)) steady = joinSteady(lines)
    fillMoments(kept.values())
    const observed = lines.map(each => each.observed.bytes)
    return [steady.first, ...writeMetric(metricDefinitions.checkObserved, observed), steady.last]
  }
}

/** What stands before and after the metric that changes with every cycle. */
function joinSteady(lines: readonly StackLines[]): { readonly first: Buffer; readonly last: Buffer } {
  const { checkStatus, checkDifferences, checkSince, stackInfo } = metricDefinitions
  const all = (definition: MetricDefinition, of: (lines: StackLines) => Buffer) =>
    writeMetric(definition, lines.map(of))
  return {
    first: Buffer.concat([
      ...all(checkStatus, ({ status }) => status),
      ...all(checkDifferences, ({ differences }) => differences),
      ...all(checkSince, ({ since }) => since),
    ]),
    last: Buffer.concat(all(stackInfo, ({ info }) => info)),
  }
}

/** `driftwatch_build_info`, which never changes. */
export function renderBuildInfo({ version, node }: { readonly version: string; readonly node: string }): Buffer {
  const { buildInfo } = metricDefinitions
  return Buffer.concat(writeMetric(buildInfo, [writeSample(buildInfo, writeLabels({ version, node }), 1)]))
}

/** A moment as Prometheus counts: seconds since 1970. */
export function toSeconds(moment: EpochMs): number {
  return moment / 1000
}

/** A stack as it was shown last, and how. */
interface Kept {
  readonly stack: StackStates
  readonly lines: StackLines
}

/** The lines of a stack, by metric. */
interface StackLines {
  readonly status: Buffer
  readonly differences: Buffer
  readonly since: Buffer
  /** When each check was looked at, which changes with every cycle, is written into its holes. */
  readonly observed: ByteTemplate
  readonly info: Buffer
}

/** `1762171190.000`: as wide until the year 2286. */
const secondsWidth = 14

function renew(stack: StackStates, before?: Kept): Kept {
  return { stack, lines: before?.stack.content === stack.content ? before.lines : writeLines(stack) }
}

function fillMoments(stacks: Iterable<Kept>): void {
  // Many are of one moment.
  const texts = new Map<EpochMs, string>()
  for (const { stack, lines } of stacks) {
    let slot = 0
    for (const { observedAt } of stack.states) {
      if (observedAt === null) continue
      const text = texts.get(observedAt) ?? toSeconds(observedAt).toFixed(3)
      texts.set(observedAt, text)
      lines.observed.fill(slot++, text)
    }
  }
}

function haveSameElements<Value>(one: readonly Value[], other: readonly Value[]): boolean {
  return one.length === other.length && one.every((value, at) => value === other[at])
}

function writeLines(stack: StackStates): StackLines {
  const { name, project, region, service, job } = stack
  const { checkDifferences, checkSince, stackInfo } = metricDefinitions
  const checks = stack.states.map(state => ({ state, labels: writeLabels({ stack: name, check: state.check }) }))
  const told = checks.filter(({ state }) => state.status !== 'unknown')
  const seen = checks.filter(({ state }) => state.observedAt !== null)
  return {
    status: join(checks.flatMap(({ labels, state }) => statusSamples(labels, state))),
    differences: join(told.map(({ labels, state }) => writeSample(checkDifferences, labels, state.differences.length))),
    since: join(checks.map(({ labels, state }) => writeSample(checkSince, labels, toSeconds(state.since)))),
    observed: createByteTemplate(observedParts(seen), secondsWidth),
    info: join([writeSample(stackInfo, writeLabels({ stack: name, project, region, service, job: job ?? '' }), 1)]),
  }
}

/** Between each part and the next goes when a check was looked at. */
function observedParts(seen: readonly { readonly labels: string }[]): string[] {
  const { name } = metricDefinitions.checkObserved
  const parts = seen.map(({ labels }, at) => `${at === 0 ? '' : '\n'}${name}{${labels}} `)
  return [...parts, seen.length === 0 ? '' : '\n']
}

function statusSamples(labels: string, state: State): string[] {
  return statuses.map(status =>
    writeSample(metricDefinitions.checkStatus, `${labels},status="${status}"`, state.status === status ? 1 : 0),
  )
}

function join(lines: readonly string[]): Buffer {
  return Buffer.from(lines.join(''))
}
