import fc from 'fast-check'
import type {
  Condition,
  ConditionState,
  Container,
  Execution,
  Job,
  Revision,
  Service,
} from '../../src/release/cloud-run.ts'
import { questionKey, type RegistryAnswer, type RegistryAnswers } from '../../src/release/registry-answers.ts'

/** Observations of every kind, built from few values, so that they match about as often as they differ. */

export const observedAt = Date.UTC(2026, 10, 3, 12)
export const graceMs = 15 * 60_000

export const repositories = ['r.example/app/a', 'r.example/app/b'] as const
const digests = ['a', 'b'].map(letter => `sha256:${letter.repeat(64)}`)
const tags = ['one', 'two']

const repository = fc.constantFrom(...repositories)
const tag = fc.constantFrom(...tags)
const digest = fc.constantFrom(...digests)

/** Weights make most parts healthy, or no check would ever be in sync. */
const rarely = <T, U>(usual: fc.Arbitrary<T>, odd: fc.Arbitrary<U>, weight = 12) =>
  fc.oneof({ arbitrary: usual, weight }, { arbitrary: odd, weight: 1 })

const image = rarely(
  fc.oneof(
    fc.tuple(repository, digest).map(parts => parts.join('@')),
    fc.tuple(repository, tag).map(parts => parts.join(':')),
    fc.tuple(repository, tag, digest).map(([name, tagged, pinned]) => `${name}:${tagged}@${pinned}`),
    repository,
  ),
  fc.oneof(fc.constantFrom('', '@', 'a b', 'x'.repeat(2000)), fc.string({ unit: 'binary' })),
  30,
)

const time = rarely(
  fc.integer({ min: -3, max: 1 }).map(quarters => observedAt + quarters * graceMs - 1000),
  fc.constantFrom(null, 0, 8.64e15),
)

const words = rarely(fc.constantFrom<readonly string[]>(['migrate'], []), fc.array(fc.string(), { maxLength: 3 }))

const container: fc.Arbitrary<Container> = fc.record({
  name: fc.constantFrom('main', 'side', ''),
  image,
  command: words,
  args: words,
  hasPorts: fc.boolean(),
})

const containers = rarely(
  fc.tuple(container),
  fc.uniqueArray(container, { maxLength: 3, selector: ({ name }) => name }),
)

const state = rarely(
  fc.constant<ConditionState>('succeeded'),
  fc.oneof(
    fc.constantFrom<ConditionState>('failed', 'pending', 'reconciling', 'unspecified'),
    fc.string().map(unrecognized => ({ unrecognized })),
  ),
)

const reason = fc.constantFrom(null, 'CANCELLED', 'NON_ZERO_EXIT_CODE', '')

function condition(type: fc.Arbitrary<string>): fc.Arbitrary<Condition> {
  return fc.record({ type, state, message: fc.string({ maxLength: 8 }), reason, since: time })
}

/** Usually includes the relevant one, among others. */
function conditions(counts: string): fc.Arbitrary<readonly Condition[]> {
  const others = fc.uniqueArray(condition(fc.constantFrom('Active', 'Retry', 'ready', '')), {
    maxLength: 2,
    selector: ({ type }) => type,
  })
  const one = rarely(fc.tuple(condition(fc.constant(counts))), fc.constant([]))
  return fc.tuple(one, others).map(([mine, rest]) => [...mine, ...rest])
}

const revisionNames = ['r1', 'r2', 'r3']
const revisionName = fc.constantFrom(...revisionNames)

const target = fc.record({
  type: rarely(
    fc.constantFrom('latest' as const, 'revision' as const),
    fc.oneof(
      fc.constant('unspecified' as const),
      fc.string().map(unrecognized => ({ unrecognized })),
    ),
  ),
  revision: fc.option(revisionName),
  percent: fc.constantFrom(0, 50, 100, -1, Number.NaN),
  tag: fc.option(tag),
})

const traffic = rarely(
  fc.constantFrom([], [{ type: 'latest' as const, revision: null, percent: 100, tag: null }]),
  fc.array(target, { maxLength: 3 }),
  2,
)

const labels = fc.constant<Readonly<Record<string, string>>>({})

const authorship = {
  labels,
  updateTime: time,
  lastModifier: fc.option(fc.string({ maxLength: 8 })),
  client: fc.option(fc.constant('gcloud 1')),
}

const lastChange = {
  reconciling: rarely(fc.constant(false), fc.constant(true)),
  terminalCondition: rarely(condition(fc.constant('Ready')), fc.constant(null), 20),
}

export const service: fc.Arbitrary<Service> = fc.record({
  ...authorship,
  ...lastChange,
  name: fc.constant('runtime'),
  etag: fc.string(),
  containers,
  templateRevision: rarely(fc.constant(null), revisionName),
  scalingMode: rarely(fc.constant('automatic' as const), fc.constant('manual' as const)),
  manualInstanceCount: fc.constantFrom(null, 0, 1),
  traffic,
  trafficStatuses: traffic,
  latestReadyRevision: rarely(revisionName, fc.constant(null)),
  latestCreatedRevision: rarely(revisionName, fc.constant(null)),
})

const revision: fc.Arbitrary<Omit<Revision, 'name'>> = fc.record({
  createTime: time,
  containers,
  conditions: conditions('Ready'),
})

const revisions = fc
  .tuple(
    ...revisionNames.map(name =>
      rarely(
        revision.map(seen => ({ ...seen, name })),
        fc.constant(null),
      ),
    ),
  )
  .map(seen => new Map(seen.map((each, at) => [revisionNames[at] ?? '', each])))

export const observedService = rarely(fc.record({ service, revisions }), fc.constant(null), 25)

const completionStatus = rarely(
  fc.constant('succeeded' as const),
  fc.oneof(
    fc.constantFrom(
      'failed' as const,
      'running' as const,
      'pending' as const,
      'cancelled' as const,
      'unspecified' as const,
    ),
    fc.string().map(unrecognized => ({ unrecognized })),
  ),
  4,
)

export const job: fc.Arbitrary<Job | null> = rarely(
  fc.record({
    ...authorship,
    ...lastChange,
    name: fc.constant('migrate'),
    createTime: time,
    etag: fc.string(),
    containers,
    executionCount: fc.constantFrom(0, 1, 2 ** 31 - 1),
    latestCreatedExecution: rarely(
      fc.record({ name: fc.constantFrom('e1', 'e1', 'e1', 'e2'), createTime: time, completionStatus }),
      fc.constant(null),
    ),
  }),
  fc.constant(null),
  25,
)

const count = fc.constantFrom(0, 1, 3)

export const observedExecution = rarely(
  fc.record({
    execution: rarely(
      fc.record<Execution>({
        name: fc.constant('e1'),
        job: fc.constant('migrate'),
        createTime: time,
        completionTime: time,
        creator: fc.option(fc.string()),
        containers,
        conditions: conditions('Completed'),
        taskCount: count,
        succeededCount: count,
        failedCount: count,
        cancelledCount: count,
        retriedCount: count,
      }),
      fc.constant(null),
    ),
    revisionThen: fc.option(revision.map(seen => ({ ...seen, name: 'r0' }))),
  }),
  fc.constant(null),
  25,
)

const answer: fc.Arbitrary<RegistryAnswer> = fc.oneof(
  digest.map(held => ({ kind: 'digest', digest: held }) as const),
  fc.subarray(digests).map(held => ({ kind: 'holds', digests: held, amd64: held }) as const),
  fc.constant({ kind: 'absent' } as const),
  fc.constant({ kind: 'failed', code: 'UNAVAILABLE', message: 'gone' } as const),
)

const questions = repositories.flatMap(name => [
  ...[...tags, 'latest'].map(each => questionKey({ about: 'tag', repository: name, tag: each })),
  ...digests.map(each => questionKey({ about: 'digest', repository: name, digest: each })),
])

/** Responses to some of the requests. */
export const registry: fc.Arbitrary<RegistryAnswers> = fc
  .subarray(questions)
  .chain(asked => fc.tuple(...asked.map(key => fc.tuple(fc.constant(key), answer))).map(pairs => new Map(pairs)))
