import fc from 'fast-check'
import { checkKinds } from '../../src/checks/check.ts'
import type { Difference } from '../../src/checks/finding.ts'
import { statuses } from '../../src/checks/status.ts'
import { type State, withContent } from '../../src/drift/state.ts'
import { type Snapshot, type StackStates, withStackContent } from '../../src/drift/store.ts'

export const minute = 60_000

/** The moment at which the snapshots of the tests are taken. */
export const noon = Date.UTC(2026, 10, 3, 12)

/** A state that is in sync, observed ten seconds before noon. */
export function buildState(override: Partial<State> = {}, before: State | null = null): State {
  const state = {
    check: 'job-image' as const,
    status: 'in_sync' as const,
    since: noon - 130 * minute,
    observedAt: noon - 10_000,
    staleAt: noon - 10_000 + 5 * minute,
    summary: 'The migration job uses the image in service, runtime-rust:7f2e.',
    differences: [],
    notes: [],
    fix: null,
    advice: null,
    error: null,
    ...override,
  }
  return withContent(state, before)
}

export function buildDifference(override: Partial<Difference> = {}): Difference {
  return {
    path: 'job.image',
    kind: 'changed',
    expected: 'runtime-rust:7f2e',
    actual: 'runtime-rust:41c3',
    via: null,
    ...override,
  }
}

/** The migration job has an older image than the service. */
export function buildDriftedState(override: Partial<State> = {}): State {
  return buildState({
    status: 'drifted',
    summary: 'The migration job is pinned to runtime-rust:41c3, the service runs runtime-rust:7f2e.',
    differences: [buildDifference()],
    fix: 'gcloud run jobs update runtime-migrate --image us-central1-docker.pkg.dev/acme/runtime-rust@sha256:7f2e',
    ...override,
  })
}

/** A state whose observation is stale, since later probes failed. */
export function buildStaleState(override: Partial<State> = {}): State {
  return buildState({
    status: 'unknown',
    since: noon - 2 * minute,
    observedAt: noon - 7 * minute,
    staleAt: noon - 2 * minute,
    summary: 'The last observation is stale.',
    error: { code: 'UNAVAILABLE', message: 'Cloud Run is unavailable', at: noon - 20_000 },
    ...override,
  })
}

export function buildStackStates(override: Partial<StackStates> = {}, before: StackStates | null = null): StackStates {
  const stack = {
    name: 'runtime',
    project: 'acme',
    region: 'us-central1',
    service: 'runtime',
    job: 'runtime-migrate',
    problems: [],
    states: [buildState({ check: 'service-image' }), buildState({ check: 'job-image' })],
    ...override,
  }
  return withStackContent(stack, before?.content ?? null)
}

export function buildSnapshot(override: Partial<Snapshot> = {}): Snapshot {
  return {
    takenAt: noon,
    cycle: { id: 42, startedAt: noon - 1000, durationMs: 812 },
    discovery: null,
    config: null,
    tooFewStacks: null,
    notes: [],
    stacks: [buildStackStates()],
    ...override,
  }
}

export const service = buildState({
  check: 'service-image',
  summary: 'Every revision in service runs runtime-rust:7f2e.',
})

/** Two stacks: one partly drifted and unknown, one in sync. */
export const mixed = buildSnapshot({
  stacks: [
    buildStackStates({ states: [service, buildDriftedState(), buildStaleState({ check: 'migration-execution' })] }),
    buildStackStates({ name: 'billing' }),
  ],
})

const anyFields: fc.Arbitrary<Omit<State, 'content'>> = fc.record({
  check: fc.constantFrom(...checkKinds),
  status: fc.constantFrom(...statuses),
  since: fc.integer({ min: 0, max: noon }),
  observedAt: fc.option(fc.integer({ min: 0, max: noon })),
  staleAt: fc.option(fc.integer({ min: 0, max: noon })),
  summary: fc.string({ unit: 'binary' }),
  differences: fc.array(fc.string({ unit: 'binary' }).map(actual => buildDifference({ actual, expected: null }))),
  notes: fc.array(fc.string({ unit: 'binary' })),
  fix: fc.option(fc.string({ unit: 'binary' })),
  advice: fc.option(fc.string({ unit: 'binary' })),
  error: fc.option(fc.record({ code: fc.constant('INTERNAL' as const), message: fc.string(), at: fc.nat(noon) })),
})

const anyState = anyFields.map(fields => buildState(fields))

export const anySnapshot: fc.Arbitrary<Snapshot> = fc
  .array(fc.array(anyState, { maxLength: 4 }), { maxLength: 4 })
  .map(stacks => buildSnapshot({ stacks: stacks.map((states, at) => buildStackStates({ name: `s${at}`, states })) }))
