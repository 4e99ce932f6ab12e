import { statuses } from '../checks/status.ts'
import type { EpochMs } from '../clock.ts'
import type { State } from '../drift/state.ts'
import type { Snapshot, StackStates } from '../drift/store.ts'
import { type MetricDefinition, metricDefinitions } from './definitions.ts'

/**
 * What is known of every check, in the exposition format. Written out by hand and from scratch, so that it costs little
 * in a fleet, and a stack that has left the config leaves nothing behind.
 */
export function renderDriftMetrics(snapshot: Snapshot): string {
  const { checkStatus, checkDifferences, checkSince, checkObserved, stackInfo } = metricDefinitions
  const checks = snapshot.stacks.flatMap(stack => stack.states.map(state => labelState(stack, state)))
  return [
    family(checkStatus, checks.flatMap(statusSamples)),
    family(
      checkDifferences,
      checks
        .filter(({ state }) => state.status !== 'unknown')
        .map(({ labels, state }) => sample(labels, state.differences.length)),
    ),
    family(
      checkSince,
      checks.map(({ labels, state }) => sample(labels, toSeconds(state.since))),
    ),
    family(
      checkObserved,
      checks.flatMap(({ labels, state: { observedAt } }) =>
        observedAt === null ? [] : [sample(labels, toSeconds(observedAt))],
      ),
    ),
    family(
      stackInfo,
      snapshot.stacks.map(({ name, project, region, service, job }) =>
        sample(formatLabels({ stack: name, project, region, service, job: job ?? '' }), 1),
      ),
    ),
  ].join('')
}

/** `driftwatch_build_info`, which never changes. */
export function renderBuildInfo(build: { readonly version: string; readonly node: string }): string {
  return family(metricDefinitions.buildInfo, [sample(formatLabels({ version: build.version, node: build.node }), 1)])
}

/** A moment as Prometheus counts: seconds since 1970. */
export function toSeconds(moment: EpochMs): number {
  return moment / 1000
}

interface LabelledState {
  readonly labels: string
  readonly state: State
}

function labelState(stack: StackStates, state: State): LabelledState {
  return { labels: formatLabels({ stack: stack.name, check: state.check }), state }
}

function statusSamples({ labels, state }: LabelledState): string[] {
  return statuses.map(status => sample(`${labels},status="${status}"`, state.status === status ? 1 : 0))
}

function sample(labels: string, value: number): string {
  return `{${labels}} ${value}\n`
}

function family({ name, help, type }: MetricDefinition, samples: readonly string[]): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${samples.map(line => name + line).join('')}\n`
}

function formatLabels(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${escapeLabel(value)}"`)
    .join(',')
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"')
}
