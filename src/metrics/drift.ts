import { statuses } from '../checks/status.ts'
import type { EpochMs } from '../clock.ts'
import type { State } from '../drift/state.ts'
import { cutStencil, type Stencil } from '../drift/stencil.ts'
import type { Snapshot, StackStates } from '../drift/store.ts'
import { type MetricDefinition, metricDefinitions } from './definitions.ts'

/** What is known of every check, in the exposition format. */
export type DriftMetrics = (snapshot: Snapshot) => Buffer

/**
 * Renders one snapshot after another. Written out by hand, and the lines of a stack are kept for as long as they would be
 * the same, so that it costs little in a fleet. A stack that has left the config leaves nothing behind.
 */
export function createDriftMetrics(): DriftMetrics {
  let kept: ReadonlyMap<string, StackLines> = new Map()
  return snapshot => {
    const stacks = snapshot.stacks.map(stack => renewLines(stack, kept.get(stack.name)))
    kept = new Map(stacks.map(lines => [lines.stack.name, lines]))
    return Buffer.concat([
      ...family(
        metricDefinitions.checkStatus,
        stacks.map(({ status }) => status),
      ),
      ...family(
        metricDefinitions.checkDifferences,
        stacks.map(({ differences }) => differences),
      ),
      ...family(
        metricDefinitions.checkSince,
        stacks.map(({ since }) => since),
      ),
      ...family(
        metricDefinitions.checkObserved,
        stacks.map(({ observed }) => observed.bytes),
      ),
      ...family(
        metricDefinitions.stackInfo,
        stacks.map(({ info }) => info),
      ),
    ])
  }
}

/** `driftwatch_build_info`, which never changes. */
export function renderBuildInfo({ version, node }: { readonly version: string; readonly node: string }): Buffer {
  const { buildInfo } = metricDefinitions
  return Buffer.concat(family(buildInfo, [join([sample(buildInfo, formatLabels({ version, node }), 1)])]))
}

/** A moment as Prometheus counts: seconds since 1970. */
export function toSeconds(moment: EpochMs): number {
  return moment / 1000
}

/** The lines of a stack, by metric. */
interface StackLines {
  readonly stack: StackStates
  readonly status: Buffer
  readonly differences: Buffer
  readonly since: Buffer
  /** When each check was looked at, which changes with every cycle, is written into its holes. */
  readonly observed: Stencil
  readonly info: Buffer
}

/** `1762171190.000`: as wide until the year 2286. */
const secondsWidth = 14

function renewLines(stack: StackStates, before?: StackLines): StackLines {
  const lines = before && showsTheSame(before.stack, stack) ? { ...before, stack } : writeLines(stack)
  const moments = stack.states.flatMap(({ observedAt }) => observedAt ?? [])
  for (const [hole, moment] of moments.entries()) lines.observed.fill(hole, toSeconds(moment).toFixed(3))
  return lines
}

/** Whether two states of a stack differ in nothing but when was looked. */
function showsTheSame(one: StackStates, other: StackStates): boolean {
  const { project, region, service, job, states } = other
  if (one.project !== project || one.region !== region || one.service !== service || one.job !== job) return false
  return states.length === one.states.length && states.every((state, at) => isAlike(state, one.states[at]))
}

function isAlike(one: State, other: State | undefined): boolean {
  return (
    one.check === other?.check &&
    one.status === other.status &&
    one.since === other.since &&
    one.differences.length === other.differences.length &&
    (one.observedAt === null) === (other.observedAt === null)
  )
}

function writeLines(stack: StackStates): StackLines {
  const { name, project, region, service, job } = stack
  const { checkDifferences, checkSince, stackInfo } = metricDefinitions
  const checks = stack.states.map(state => ({ state, labels: formatLabels({ stack: name, check: state.check }) }))
  const told = checks.filter(({ state }) => state.status !== 'unknown')
  const seen = checks.filter(({ state }) => state.observedAt !== null)
  return {
    stack,
    status: join(checks.flatMap(({ labels, state }) => statusSamples(labels, state))),
    differences: join(told.map(({ labels, state }) => sample(checkDifferences, labels, state.differences.length))),
    since: join(checks.map(({ labels, state }) => sample(checkSince, labels, toSeconds(state.since)))),
    observed: cutStencil(observedParts(seen), secondsWidth),
    info: join([sample(stackInfo, formatLabels({ stack: name, project, region, service, job: job ?? '' }), 1)]),
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
    sample(metricDefinitions.checkStatus, `${labels},status="${status}"`, state.status === status ? 1 : 0),
  )
}

function join(lines: readonly string[]): Buffer {
  return Buffer.from(lines.join(''))
}

function sample({ name }: MetricDefinition, labels: string, value: number): string {
  return `${name}{${labels}} ${value}\n`
}

function family({ name, help, type }: MetricDefinition, samples: readonly Buffer[]): Buffer[] {
  return [Buffer.from(`# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`), ...samples, Buffer.from('\n')]
}

function formatLabels(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${escapeLabel(value)}"`)
    .join(',')
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"')
}
