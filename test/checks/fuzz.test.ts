import fc from 'fast-check'
import t from 'tap'
import { afterRollout } from '../../src/checks/after-rollout.ts'
import type { Check } from '../../src/checks/check.ts'
import { checks } from '../../src/checks/checks.ts'
import type { Finding } from '../../src/checks/finding.ts'
import { imageLanes } from '../../src/checks/image-lanes.ts'
import { jobImage } from '../../src/checks/job-image.ts'
import { migrationExecution } from '../../src/checks/migration-execution.ts'
import { roleGrants } from '../../src/checks/role-grants.ts'
import { serviceImage } from '../../src/checks/service-image.ts'
import { runAtOnce, type SlicedWork } from '../../src/concurrency/time-slices.ts'
import type { Config, Stack } from '../../src/config/config.ts'
import { parseConfig } from '../../src/config/load.ts'
import type { Catalog } from '../../src/grants/model/catalog.ts'
import type { Observed, ObservedService } from '../../src/probes/probe.ts'
import { pickContainer } from '../../src/release/container.ts'
import { parseImage } from '../../src/release/image.ts'
import { readRelease } from '../../src/release/release.ts'
import { servingRevisions } from '../../src/release/serving.ts'
import { driftwatchCommands } from '../../src/remedies/driftwatch-commands.ts'
import { remedyStack } from '../../src/remedies/remedies.ts'
import { createJudge } from '../../src/schedule/judge.ts'
import { holds, holdsAsync, must } from '../helpers/fuzz.ts'
import { grantedByOne, interned, policy, primary, whyNotAsThePolicySays } from '../helpers/governed-database.ts'
import { brokenOnce, catalog } from '../helpers/random-catalog.ts'
import {
  job,
  observedAt,
  observedExecution,
  observedService,
  registry,
  repositories,
} from '../helpers/random-release.ts'

/** Configurations that judge the same observations differently. */
const configs = [
  { service: {}, job: { command: ['migrate'] }, database: {} },
  {
    service: { repositories: [repositories[0]], container: 'main' },
    job: { container: 'main' },
    database: { trustedRoles: ['postgres', 'mallory'] },
  },
  {
    service: { expectedImage: `${repositories[0]}:one` },
    job: { command: ['migrate'], args: [] },
    database: { schemas: { ...policy.schemas, other: {} } },
  },
].map(({ service, job, database }) =>
  parseConfig(
    JSON.stringify({
      stacks: [
        {
          name: 'runtime',
          project: 'acme-prod',
          region: 'us-central1',
          service: { name: 'runtime', ...service },
          job: { name: 'migrate', ...job },
          afterRollout: { services: ['runtime', 'control'] },
          lanes: [
            { repository: repositories[0], tags: ['one', 'two'], excludes: [repositories[1]] },
            { repository: repositories[1], tags: ['one'], required: false },
          ],
          httpContract: {
            url: 'https://runtime.example',
            requests: [
              {
                name: 'health',
                path: '/health',
                expect: [
                  { at: '/a~1b/0', type: 'integer' },
                  { at: '/c', present: false },
                ],
              },
              { name: 'docs', path: '/docs', expect: [{ at: '', matches: '^(a+)+$' }] },
            ],
          },
          database: {
            ...{ url: 'postgres://monitor@localhost/app', ...policy, ...database },
            ledger: { table: 'public.migrations', versionColumn: 'version', expected: ['1'] },
          },
        },
      ],
    }),
    'fuzz.yaml',
    {},
  ),
)

/** Selects one of them. */
const config = fc.nat({ max: configs.length - 1 }).map(String)

const counts = fc.record({
  requests: fc.oneof(fc.nat(3), fc.constant(Number.MAX_SAFE_INTEGER)),
  serverErrors: fc.oneof(fc.nat(3), fc.constant(Number.MAX_SAFE_INTEGER)),
  errorLogs: fc.nat(3),
})

const moment = fc.integer({ min: observedAt - 7_200_000, max: observedAt })

const telemetry: fc.Arbitrary<Observed['telemetry']> = fc.option(
  fc.record({
    rollout: fc.option(fc.record({ madeAt: moment, readyAt: moment, touchedAt: moment })),
    window: fc.option(fc.constant({ from: observedAt - 600_000, to: observedAt })),
    services: fc.uniqueArray(
      fc.record({ service: fc.constantFrom('runtime', 'control', 'other'), after: counts, before: counts }),
      { selector: ({ service }) => service },
    ),
  }),
)

const held = { kind: 'digest', digest: `sha256:${'a'.repeat(64)}` } as const

const presence = fc.constantFrom(
  held,
  { kind: 'absent' } as const,
  { kind: 'failed', code: 'UNAVAILABLE', message: 'gone' } as const,
)

const laneTags = [
  { repository: repositories[0], tag: 'one' },
  { repository: repositories[0], tag: 'two' },
  { repository: repositories[1], tag: 'one' },
] as const

/** The answer of a registry for an image, usually a success. */
const laneTag = (named: (typeof laneTags)[number]) =>
  fc.record({
    ...{ repository: fc.constant(named.repository), tag: fc.constant(named.tag), origin: fc.constant(null) },
    answer: fc.oneof({ arbitrary: fc.constant(held), weight: 3 }, presence),
    presences: fc.array(
      fc.record({
        repository: fc.constantFrom(...repositories),
        digest: fc.constant(held.digest),
        answer: presence,
      }),
      { maxLength: 1 },
    ),
    unknowns: fc.array(fc.constant({ code: 'UNAVAILABLE', message: 'gone' } as const), { maxLength: 1 }),
  })

const lanes: fc.Arbitrary<Observed['lanes']> = fc.record({
  tags: fc
    .oneof({ arbitrary: fc.constant([...laneTags]), weight: 3 }, fc.subarray([...laneTags]))
    .chain(named => fc.tuple(...named.map(laneTag))),
  named: fc.array(
    fc.record({
      path: fc.constantFrom('service.image' as const, 'job.image' as const),
      subject: fc.constant('job migrate'),
      image: fc.constant({ repository: repositories[0], tag: 'one', digest: null }),
      answer: presence,
    }),
    { maxLength: 2 },
  ),
})

const document = fc.oneof(
  fc.json().map(text => ({ kind: 'json', value: JSON.parse(text) }) as const),
  fc.constant({ kind: 'json', value: { 'a/b': [1] } } as const),
  fc.constant({ kind: 'json', value: 'aaa' } as const),
  fc.constant({ kind: 'json', value: `${'a'.repeat(100_000)}!` } as const),
  fc.constant({ kind: 'other', what: 'an HTML page' } as const),
)

const http: fc.Arbitrary<Observed['http']> = fc
  .uniqueArray(
    fc.tuple(
      fc.constantFrom('health', 'docs'),
      fc.oneof(
        fc.record({
          kind: fc.constant('answered' as const),
          status: fc.constantFrom(...Array<number>(9).fill(200), 0, 302, 401, 500),
          latencyMs: fc.constantFrom(1, 1, 1, 1e9),
          location: fc.option(fc.webUrl()),
          document,
        }),
        fc.constant({ kind: 'failed', code: 'UNAVAILABLE', message: 'gone' } as const),
      ),
    ),
    { selector: ([name]) => name },
  )
  .map(entries => new Map(entries))

const ledger: fc.Arbitrary<NonNullable<Observed['postgres-catalog']>['ledger']> = fc.option(
  fc.oneof(
    fc.array(fc.constantFrom('1', '2', '', '\u001b[31m')).map(versions => ({ outcome: 'read', versions }) as const),
    fc.constant({ outcome: 'missing' } as const),
    fc.constant({ outcome: 'failed', reason: { code: 'PERMISSION_DENIED', message: 'no' } } as const),
  ),
)

const unreadable = { code: 'UNRECOGNIZED_VALUE', message: 'a future privilege' } as const

const database: fc.Arbitrary<Observed['postgres-catalog']> = fc.record({
  server: fc.constant(primary),
  catalog,
  rightsUnknown: fc.oneof({ arbitrary: fc.constant(null), weight: 12 }, fc.constant(unreadable)),
  ledger,
})

/** Observations before the release is read from them, which depends on the container that the config names. */
type Seen = Omit<Observed, 'service'> & { readonly service: Omit<ObservedService, 'release'> | null }

function withRelease({ service, ...others }: Seen, { service: { container } }: Stack): Observed {
  const release = service && readRelease(service.service, service.revisions, container)
  return { ...others, service: service && release && { ...service, release } }
}

const observe = (database: fc.Arbitrary<Observed['postgres-catalog']>): fc.Arbitrary<Seen> =>
  fc.record({
    service: observedService,
    job,
    execution: observedExecution,
    registry,
    'postgres-catalog': database,
    lanes,
    telemetry,
    http,
  })

const everything = observe(database)
const withoutDatabase = observe(fc.constant(null))

/** Databases are expensive to build, copy and compare, so only their checks get one. */
const seenBy = ({ needs }: Check) => (needs.includes('postgres-catalog') ? everything : withoutDatabase)

function judge(check: Check, which: string, seen: Seen): Finding {
  const config = configs[Number(which)] as Config
  const stack = stackOf(which)
  return check.judge({ stack, config, observed: withRelease(seen, stack), observedAt })
}

function judgeRights(which: string, catalog: Catalog): Finding {
  const config = configs[Number(which)] as Config
  const observed = { 'postgres-catalog': { server: primary, catalog, rightsUnknown: null, ledger: null } }
  return roleGrants.judge({ stack: stackOf(which), config, observed, observedAt })
}

function stackOf(which: string): Stack {
  return configs[Number(which)]?.stacks[0] as Stack
}

t.test('a check never throws, and its finding is consistent', async t => {
  for (const check of checks) {
    const property = fc.property(config, seenBy(check), (config, seen) => {
      const finding = judge(check, config, seen)
      const { status, differences, unknownReason, proven, summary } = finding
      must(summary.length > 0, 'it says nothing', finding)
      must((status === 'drifted') === proven.length > 0, 'drifted if and only if differences are proven', finding)
      must(
        status !== 'in_sync' || (differences.length === 0 && unknownReason === null),
        'in sync despite a difference',
        finding,
      )
      must(status !== 'unknown' || unknownReason !== null, 'unknown has no reason', finding)
      must(status !== 'pending' || differences.length > 0 || unknownReason !== null, 'pending has no reason', finding)
      const paths = differences.map(({ path }) => path)
      must(
        proven.every(path => paths.includes(path)),
        'a proven difference is not shown',
        finding,
      )
    })
    holds(t, check.kind, property, 200)
  }
})

t.test('equal input gives an equal finding, in any order', async t => {
  const gist = ({ status, differences, unknownReason, proven, notes }: Finding) =>
    JSON.stringify([
      status,
      differences.map(each => JSON.stringify(each)).sort(),
      unknownReason?.code,
      [...proven].sort(),
      [...notes].sort(),
    ])
  for (const check of checks) {
    holds(
      t,
      `${check.kind}: an equal finding`,
      fc.property(config, seenBy(check), (config, seen) => {
        const [one, other] = [judge(check, config, seen), judge(check, config, structuredClone(seen))]
        must(JSON.stringify(one) === JSON.stringify(other), 'two findings for one input', one, other)
      }),
    )
    holds(
      t,
      `${check.kind}: another order`,
      fc.property(config, seenBy(check), (config, seen) => {
        const [one, other] = [judge(check, config, seen), judge(check, config, turnedRound(seen))]
        must(gist(one) === gist(other), 'the order decides', one, other)
      }),
    )
  }
})

/** The observations of successive cycles: usually equal, sometimes changed, always later. */
const historyOf = (check: Check) =>
  fc
    .tuple(fc.array(seenBy(check), { minLength: 1, maxLength: 3 }), fc.tuple(config, config))
    .chain(([worlds, configs]) =>
      fc.array(
        fc.record({
          seen: fc.constantFrom(...worlds),
          config: fc.constantFrom(configs[0], configs[0], configs[0], configs[1]),
          minutes: fc.nat(20),
        }),
        { minLength: 2, maxLength: 8 },
      ),
    )

t.test('a check that is not judged again has an up-to-date finding, for any history of observations', async t => {
  let spared = 0
  for (const check of checks) {
    const property = fc.asyncProperty(historyOf(check), async looks => {
      const judgeOnceOnly = createJudge()
      let asked = 0
      const counted: Check = {
        ...check,
        judge(input) {
          asked += 1
          return check.judge(input)
        },
        ...(check.judgeInSteps && {
          judgeInSteps(input) {
            asked += 1
            return check.judgeInSteps?.(input) as SlicedWork<Finding>
          },
        }),
      }
      let at = observedAt
      for (const { seen, config, minutes } of looks) {
        at += minutes * 60_000
        const [stack, of] = [stackOf(config), configs[Number(config)] as Config]
        // Equal, but not identical.
        const input = { stack, config: of, observed: withRelease(structuredClone(seen), stack), observedAt: at }
        const found = await judgeOnceOnly(counted, input, async steps => runAtOnce(steps))
        const again = check.judge(input)
        must(JSON.stringify(found) === JSON.stringify(again), 'judging again gives another finding', found, again)
      }
      must(check.inSyncLasts || asked === looks.length, 'it does not report that in sync continues', check.kind)
      spared += looks.length - asked
    })
    await holdsAsync(t, check.kind, property, 300)
  }
  t.ok(spared > 0, `${spared} times nothing was judged again, so the property is tested`)
})

/** Rotates and reverses every list whose order has no meaning. */
function turnedRound<Value extends object>(value: Value, fairQueue = 0): Value {
  const ordered = new Set(['command', 'args', 'value'])
  const turnList = <Item>(list: readonly Item[]): Item[] => {
    const start = list.length === 0 ? 0 : fairQueue % list.length
    return [...list.slice(start), ...list.slice(0, start)].reverse()
  }
  const turn = (part: unknown, key = ''): unknown => {
    if (ordered.has(key)) return part
    if (Array.isArray(part)) return turnList(part.map(each => turn(each)))
    if (part instanceof Map) return new Map(turnList([...part].map(([name, each]) => [name, turn(each)])))
    if (typeof part !== 'object' || part === null) return part
    return Object.fromEntries(Object.entries(part).map(([name, each]) => [name, turn(each, name)]))
  }
  return turn(value) as Value
}

/** Why a check of the service cannot be in sync, found independently of the check. */
function whyServiceIsUnproven(stack: Stack, seen: Seen, which: 'all' | 'newest'): string | null {
  if (!seen.service) return 'the service is missing'
  const { service, revisions } = seen.service
  const serving = servingRevisions(service)
  if (serving.kind !== 'revisions') return 'no revision is known to receive traffic'
  for (const name of which === 'all' ? serving.names : newestOf(serving.names, revisions)) {
    const pick = pickContainer(revisions.get(name)?.containers ?? [], stack.service.container)
    if (pick.kind !== 'picked') return `${name} has no container`
    if (!parseImage(pick.container.image)) return `${name} shows no image`
  }
  return null
}

/** The job and its execution are compared with the newest serving revision, or with all if an age is unknown. */
function newestOf(names: readonly string[], revisions: NonNullable<Observed['service']>['revisions']) {
  const ageOf = (name: string) => revisions.get(name)?.createTime ?? null
  if (names.some(name => ageOf(name) === null)) return names
  return names
    .toSorted((one, other) => Number(ageOf(other)) - Number(ageOf(one)) || other.localeCompare(one))
    .slice(0, 1)
}

t.test('a check is in sync only if everything was observed', async t => {
  const settled = ({
    reconciling,
    terminalCondition,
  }: {
    reconciling: boolean
    terminalCondition: { state: unknown } | null
  }) => !reconciling && terminalCondition?.state === 'succeeded'
  const inSync = (check: Check, config: string, seen: Seen) => judge(check, config, seen).status === 'in_sync'
  const found = new Map<string, number>()
  const each = (check: Check, refuse: (stack: Stack, seen: Seen) => string | null | false | undefined) =>
    holds(
      t,
      check.kind,
      fc.property(config, seenBy(check), (config, seen) => {
        if (!inSync(check, config, seen)) return
        found.set(check.kind, (found.get(check.kind) ?? 0) + 1)
        const why = refuse(stackOf(config), seen)
        must(!why, `in sync, although ${why}`, judge(check, config, seen))
      }),
      700,
    )

  each(serviceImage, (stack, seen) => {
    const cannotJudge = whyServiceIsUnproven(stack, seen, 'all')
    if (cannotJudge || !seen.service) return cannotJudge
    const { service, revisions } = seen.service
    if (!settled(service)) return 'its last change is not known to have succeeded'
    const serving = servingRevisions(service)
    for (const name of serving.kind === 'revisions' ? serving.names : []) {
      const ready = revisions.get(name)?.conditions.find(({ type }) => type === 'Ready')
      if (ready?.state !== 'succeeded') return `${name} is not ready`
      const pick = pickContainer(revisions.get(name)?.containers ?? [], stack.service.container)
      const image = pick.kind === 'picked' ? parseImage(pick.container.image) : null
      const { repositories } = stack.service
      if (repositories.length > 0 && !repositories.includes(image?.repository ?? ''))
        return `${name} is of another release lane`
    }
    return null
  })
  each(jobImage, (stack, seen) => {
    if (!seen.job) return 'the job is missing'
    if (!settled(seen.job)) return 'its last change is not known to have succeeded'
    const pick = pickContainer(seen.job.containers, stack.job?.container ?? null)
    if (pick.kind !== 'picked') return 'it has no container'
    const command = stack.job?.command
    if (command && JSON.stringify(command) !== JSON.stringify(pick.container.command)) return 'the command differs'
    return whyServiceIsUnproven(stack, seen, 'newest')
  })
  each(migrationExecution, (stack, seen) => {
    const execution = seen.execution?.execution
    if (!seen.job || !execution) return 'there is no execution'
    if (seen.job.latestCreatedExecution?.name !== execution.name) return 'it is another execution'
    const completed = execution.conditions.find(({ type }) => type === 'Completed')
    if (completed?.state !== 'succeeded') return 'it did not succeed'
    return whyServiceIsUnproven(stack, seen, 'newest')
  })
  each(imageLanes, (_, { lanes: { tags, named } }) => {
    if (tags.length < 3) return 'a tag was not observed'
    const there = tags.filter(({ answer }) => answer.kind !== 'absent')
    const presences = there.flatMap(tag => [tag, ...tag.presences])
    return [...presences, ...named].some(({ answer }) => answer.kind === 'failed') && 'an observation failed'
  })
  each(afterRollout, (_, { telemetry: seen }) => {
    const names = seen?.services.map(({ service }) => service) ?? []
    return !(seen?.window && names.includes('runtime') && names.includes('control')) && 'a service was not observed'
  })
  each(checks.find(({ kind }) => kind === 'http-contract') as Check, (_, seen) => {
    const answers = ['health', 'docs'].map(name => seen.http.get(name))
    return (
      answers.some(answer => answer?.kind !== 'answered' || answer.status !== 200) && 'a response is missing or wrong'
    )
  })
  each(checks.find(({ kind }) => kind === 'schema') as Check, (_, seen) => {
    const database = seen['postgres-catalog']
    const relations = database?.catalog.schemas.get('s')?.objects.filter(({ args }) => args === null) ?? []
    const isThere = (wanted: string) => relations.some(({ name }) => name === wanted)
    if (!policy.schemas.s.relations.every(isThere)) return 'a relation is missing'
    return database?.ledger?.outcome !== 'read' && 'the ledger was not read'
  })
  each(roleGrants, ({ database }, seen) => {
    const rights = seen['postgres-catalog']
    if (!rights || rights.rightsUnknown) return 'the privileges could not be read'
    return whyNotAsThePolicySays(rights.catalog, database?.trustedRoles ?? [])
  })
  for (const check of checks)
    t.ok(found.get(check.kind), `${check.kind} was sometimes in sync, so the property is tested`)
})

// A finding lists a limited number of privileges, so their order must be fixed too.
t.test('privileges are reported in one order, for any order of grants', async t => {
  const sameAs = (change: (catalog: Catalog, fairQueue: number) => Catalog) =>
    fc.property(config, catalog, fc.nat(5), (config, catalog, fairQueue) => {
      const [one, other] = [catalog, change(catalog, fairQueue)].map(catalog => judgeRights(config, catalog))
      must(JSON.stringify(one) === JSON.stringify(other), 'it is another finding', one, other)
    })
  holds(
    t,
    'listed in another order',
    sameAs((catalog, fairQueue) => interned(turnedRound(catalog, fairQueue))),
    800,
  )
  holds(t, 'privileges of several grantors, granted by one', sameAs(grantedByOne), 200)
})

t.test('any single deviation of a database from the policy is drift', async t => {
  const property = fc.property(config, brokenOnce, (config, catalog) => {
    const { status, proven, differences } = judgeRights(config, catalog)
    must(status === 'drifted' && proven.length > 0 && differences.length > 0, 'it is not reported', status, differences)
  })
  holds(t, 'role-grants', property, 300)
})

/** The remedies of every check but those of databases, which have one command. */
function remediesOf(which: string, seen: Seen) {
  const stack = stackOf(which)
  const observed = withRelease(seen, stack)
  const judged = checks.filter(({ needs, appliesTo }) => !needs.includes('postgres-catalog') && appliesTo(stack))
  const findings = new Map(
    judged.map(check => [check.kind, { check: check.kind, ...judge(check, which, seen), fix: null, advice: null }]),
  )
  const situation = { stack, commands: driftwatchCommands('a config.yaml'), findings, observed }
  return { findings, remedies: remedyStack(situation, new Set(findings.keys())) }
}

t.test('the remedies of a stack agree, whatever was observed', async t => {
  let fixes = 0
  const property = fc.property(config, withoutDatabase, (config, seen) => {
    const { findings, remedies } = remediesOf(config, seen)
    const service = findings.get('service-image')?.differences.filter(({ path }) => path !== 'service.revision') ?? []
    const isSplit = service.every(({ path, kind }) => path === 'service.traffic' && kind === 'changed')
    for (const [check, { fix, advice }] of remedies) {
      const { status } = findings.get(check) ?? {}
      fixes += fix === null ? 0 : 1
      must(status === 'drifted' || (fix === null && advice === null), 'a remedy without proven drift', check, fix)
      must(status !== 'drifted' || advice !== null, 'drift without a remedy or a reason', check)
      must(!/update-traffic|jobs create|run deploy/.test(fix ?? ''), 'a fix moves traffic or creates a resource', fix)
      must(service.length === 0 || !/driftwatch migrate|jobs execute/.test(fix ?? ''), 'it migrates too early', fix)
      must(service.length === 0 || isSplit || !/jobs update/.test(fix ?? ''), 'it updates the job too early', fix)
      for (const command of fix?.split(/ && |\n/) ?? [])
        must(!/ --container \S+ .*--(?:region|project)/.test(command), 'flags after --container', command)
      for (const line of fix?.split('\n') ?? [])
        must(!/^driftwatch /.test(line) || line.endsWith("--config 'a config.yaml'"), 'no configuration', line)
    }
  })
  holds(t, 'the remedies of a stack', property, 300)
  t.ok(fixes > 20, `${fixes} fixes`)
})
