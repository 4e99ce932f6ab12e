import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { type Contract, type ContractOptions, type ContractWorld, startContract } from '../../sandbox/contract.ts'
import type { Finding } from '../../src/checks/finding.ts'
import { httpContract } from '../../src/checks/http-contract.ts'
import type { IdTokenSource } from '../../src/clients/google/id-token-source.ts'
import { type ContractClientOptions, createContractClient } from '../../src/clients/http/contract-client.ts'
import { createAddressRules } from '../../src/clients/http/http-addresses.ts'
import { systemClock } from '../../src/clock.ts'
import { startDeadline } from '../../src/concurrency/deadline.ts'
import { parseConfig } from '../../src/config/load.ts'
import { printConfig } from '../../src/config/print-config.ts'
import { DriftwatchError } from '../../src/errors.ts'
import { createHttpProbe } from '../../src/probes/http.ts'
import { followPointer } from '../../src/release/json-pointer.ts'
import { driftwatchCommands } from '../../src/remedies/driftwatch-commands.ts'
import { remedyStack } from '../../src/remedies/remedies.ts'
import { canaryForms } from '../helpers/canaries.ts'
import { makeCertificate, noOpenssl } from '../helpers/certificate.ts'

const token = 'a-very-secret-token'

/** The runbook's two requests. */
const requests = [
  {
    name: 'openapi',
    path: '/internal/v1/openapi.json',
    expect: [
      { at: '/paths/~1credit~1intent' },
      { at: '/paths/~1credit~1settle', type: 'object' },
      { at: '/components/schemas/CreditSettleResponseV1/properties/settlement_id' },
    ],
  },
  {
    name: 'credit-health',
    path: '/internal/v1/credit/health',
    expect: [
      { at: '/schema', matches: '^openagents\\.' },
      { at: '/breakers', type: 'object' },
      { at: '/policy/max_sats_per_envelope', type: 'integer' },
    ],
  },
]

const openapi = {
  paths: { '/credit/intent': {}, '/credit/settle': {} },
  components: { schemas: { CreditSettleResponseV1: { properties: { settlement_id: { type: 'string' } } } } },
}

const health = { schema: 'openagents.credit.v1', breakers: {}, policy: { max_sats_per_envelope: 100_000 } }

const healthy: ContractWorld = {
  '/internal/v1/openapi.json': { body: openapi },
  '/internal/v1/credit/health': { body: health },
}

function buildConfig(contract: object) {
  const stack = { name: 'runtime', project: 'acme', region: 'us-central1', service: { name: 'runtime' } }
  return parseConfig(
    JSON.stringify({ stacks: [{ ...stack, httpContract: { requests, ...contract } }] }),
    'test.yaml',
    {},
  )
}

interface LookOptions extends Partial<ContractClientOptions> {
  readonly signal?: AbortSignal
  readonly tokens?: IdTokenSource
  readonly answerWithinMs?: number
  /** How long the event loop has been stalled. */
  readonly stoodStill?: readonly number[]
}

async function observe(
  contract: object,
  { signal, tokens, answerWithinMs = 20_000, stoodStill: stalled = [], ...options }: LookOptions = {},
): Promise<Finding & { readonly fix: string | null }> {
  const config = buildConfig(contract)
  const [stack] = config.stacks
  if (!stack) throw new Error('there is a stack')
  const client = createContractClient({ clock: systemClock, ...options })
  const still = stalled.values()
  const eventLoop = { stalledMs: () => still.next().value ?? 0 }
  const probe = createHttpProbe({
    client,
    tokens: tokens ?? null,
    clock: systemClock,
    eventLoop,
    answerWithinMs,
  })
  const http = await probe.observe(stack, startDeadline(systemClock, 60_000, signal))
  const finding = httpContract.judge({ stack, config, observed: { http }, observedAt: systemClock.now() })
  const findings = new Map([
    ['http-contract', { check: 'http-contract', ...finding, fix: null, advice: null }],
  ] as const)
  const situation = { stack, commands: driftwatchCommands(null), findings, observed: {} }
  const { fix = null } = remedyStack(situation, new Set(findings.keys())).get('http-contract') ?? {}
  return { ...finding, fix }
}

async function build(t: Test, options: ContractOptions = {}): Promise<Contract> {
  const server = await startContract({ world: healthy, ...options })
  t.teardown(() => server.close())
  return server
}

async function serve(t: Test, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const health_ = '/internal/v1/credit/health'
const openapi_ = '/internal/v1/openapi.json'

interface Case {
  readonly world: ContractWorld
  readonly finding: object
}

const cases: Record<string, Case> = {
  'is in sync while the contract is fulfilled': {
    world: {},
    finding: {
      status: 'in_sync',
      differences: [],
      summary: /^All requests match the contract: openapi, credit-health\.$/,
    },
  },
  'drifts on a path that is missing from the document': {
    world: { [openapi_]: { body: { ...openapi, paths: { '/credit/intent': {} } } } },
    finding: {
      status: 'drifted',
      summary: 'The response of openapi has no value at /paths/~1credit~1settle; only /paths exists.',
      differences: [
        { path: 'openapi#/paths/~1credit~1settle', kind: 'missing', expected: 'of type object', actual: null },
      ],
    },
  },
  'reports how much of a missing path exists': {
    world: { [health_]: { body: { schema: 'openagents.x', breakers: {}, policy: 7 } } },
    finding: { status: 'drifted', summary: /no value at \/policy\/max_sats_per_envelope; only \/policy exists/ },
  },
  'drifts on values of another type or text': {
    world: { [health_]: { body: { schema: 'x', breakers: [], policy: { max_sats_per_envelope: 1.5 } } } },
    finding: {
      status: 'drifted',
      differences: [
        { path: 'credit-health#/schema', kind: 'changed', expected: 'matching ^openagents\\.', actual: '"x"' },
        { path: 'credit-health#/breakers', expected: 'of type object', actual: 'an array' },
        { path: 'credit-health#/policy/max_sats_per_envelope', expected: 'of type integer', actual: 'of type number' },
      ],
    },
  },
  'drifts on an HTML page instead of JSON': {
    world: { [openapi_]: { contentType: 'text/html; charset=utf-8', body: '<!doctype html><title>Sign in</title>' } },
    finding: {
      status: 'drifted',
      summary: 'Request openapi returned an HTML page instead of a JSON document.',
      differences: [{ path: 'openapi.body', expected: 'a JSON document', actual: 'an HTML page' }],
    },
  },
  'drifts on an empty body': {
    world: { [openapi_]: { contentType: 'application/json', body: '' } },
    finding: { status: 'drifted', differences: [{ path: 'openapi.body', actual: 'an empty body' }] },
  },
  'drifts on another status': {
    world: { [health_]: { status: 404 } },
    finding: {
      status: 'drifted',
      differences: [{ path: 'credit-health.status', kind: 'changed', expected: '200', actual: '404' }],
    },
  },
  'drifts on a server error': {
    world: { [health_]: { status: 503 } },
    finding: { status: 'drifted', differences: [{ path: 'credit-health.status', actual: '503' }] },
  },
  'is unknown without access': {
    world: { [health_]: { status: 403 } },
    finding: {
      status: 'unknown',
      differences: [],
      unknownReason: { code: 'PERMISSION_DENIED', message: /roles\/run\.invoker/ },
    },
  },
}

t.test('a contract is judged by the responses', async t => {
  for (const [name, { world, finding }] of Object.entries(cases)) {
    t.test(name, async t => {
      const server = await build(t, { world: { ...healthy, ...world } })
      const found = await observe({ url: server.url })
      const { differences } = finding as { differences?: readonly unknown[] }
      if (differences) t.equal(found.differences.length, differences.length, 'nothing else differs')
      t.match(found, finding)
    })
  }
})

t.test('assertions', async t => {
  const body = {
    text: 'v1.2',
    number: 5,
    flag: false,
    none: null,
    list: [{ 'a/b': 1, 'm~n': 2 }],
    long: 'a'.repeat(100_000),
  }
  const server = await build(t, { world: { '/': { body } } })
  const holds = async (assertion: object) => {
    const { status } = await observe({ url: server.url, requests: [{ name: 'it', path: '/', expect: [assertion] }] })
    return status === 'in_sync'
  }
  for (const assertion of [
    { at: '' },
    { at: '', type: 'object' },
    { at: '/text', equal: 'v1.2', matches: '1\\.' },
    { at: '/number', equal: 5, type: 'number' },
    { at: '/number', equal: '5' },
    { at: '/flag', equal: false, type: 'boolean' },
    { at: '/none', type: 'null' },
    { at: '/list/0/a~1b', equal: 1 },
    { at: '/list/0/m~0n', equal: 2 },
    { at: '/list/1', present: false },
    { at: '/nothing/at/all', present: false },
    { at: '/long', matches: '^(a+)+$' },
  ]) {
    t.ok(await holds(assertion), JSON.stringify(assertion))
  }
  for (const assertion of [
    { at: '/text', equal: 'v1' },
    { at: '/number', equal: 50 },
    { at: '/number', type: 'string' },
    { at: '/text', matches: '^1' },
    { at: '/none', type: 'object' },
    { at: '/list', type: 'object' },
    { at: '/list/-' },
    { at: '/list/00' },
    { at: '/list/length' },
    { at: '/text/length' },
    { at: '/text/0' },
    { at: '/__proto__' },
    { at: '/constructor' },
    { at: '/text', present: false },
    { at: '/long', matches: '^(a+)+b$' },
  ]) {
    t.notOk(await holds(assertion), JSON.stringify(assertion))
  }
  t.same(followPointer({ a: { b: 1 } }, '/a/c/d'), { kind: 'nothing', upTo: '/a' })
})

t.test('over TLS', { skip: noOpenssl }, async t => {
  const { ca, ...tls } = await makeCertificate(t.testdir())
  const server = await build(t, { tls, token })
  t.match(await observe({ url: server.url, bearerToken: token }, { ca }), { status: 'in_sync' })
  t.equal(server.requests.length, 2)
  t.match(
    await observe({ url: server.url, bearerToken: token }),
    {
      status: 'unknown',
      unknownReason: { code: 'UNAVAILABLE', message: /certificate of localhost:\d+ is not trusted/ },
    },
    'an untrusted certificate',
  )
  const byAddress = server.url.replace('localhost', '127.0.0.1')
  t.match(await observe({ url: byAddress }, { ca }), {
    unknownReason: { message: /not trusted \(ERR_TLS_CERT_ALTNAME_INVALID\)/ },
  })
  t.equal(server.requests.length, 2, 'and the token went to neither')
  const refused = await observe({ url: server.url, bearerToken: 'a-wrong-secret' }, { ca })
  t.match(refused, {
    status: 'unknown',
    unknownReason: { code: 'UNAUTHENTICATED', message: /Check the token of Driftwatch/ },
  })
  t.notMatch(JSON.stringify(refused), 'a-wrong-secret')
})

t.test('an identity token is requested for its audience, and its absence is an error', async t => {
  const server = await build(t, { token })
  const asked: string[] = []
  const tokens: IdTokenSource = {
    async token(audience) {
      asked.push(audience)
      return token
    },
  }
  const contract = { url: server.url, identityTokenAudience: 'https://runtime.example' }
  t.match(await observe(contract, { tokens }), { status: 'in_sync' })
  t.same(asked, ['https://runtime.example'])
  await t.rejects(observe(contract), { code: 'EMULATOR_ABSENT' })
})

t.test('redirects', async t => {
  const other = await build(t)
  const redirecting = (location: string): ContractWorld => ({ ...healthy, [health_]: { status: 302, location } })
  t.test('to another host are not followed, and no token is sent there', async t => {
    const server = await build(t, { world: redirecting(`${other.url}${health_}`), token })
    const found = await observe({ url: server.url, bearerToken: token })
    t.match(found, {
      status: 'drifted',
      differences: [{ path: 'credit-health.status', expected: '200', actual: `302 to ${other.url}${health_}` }],
    })
    t.same(other.requests, [])
  })
  t.test('within the host are followed', async t => {
    const world = { ...redirecting('/moved'), '/moved': { body: health } }
    const server = await build(t, { world })
    t.match(await observe({ url: server.url }), { status: 'in_sync' })
  })
  t.test('in a circle are followed to a limit', async t => {
    const server = await build(t, { world: redirecting(health_) })
    t.match(await observe({ url: server.url }), { status: 'drifted', differences: [{ path: 'credit-health.status' }] })
    t.equal(server.requests.filter(({ path }) => path === health_).length, 4)
  })
})

t.test('neither secrets nor the document are published', async t => {
  const secret = 'hunter2-hunter2'
  const body = {
    echo: `Bearer ${token}`,
    password: secret,
    nested: { password: secret },
    list: [secret],
    version: `v1\u202e${'x'.repeat(100)}`,
  }
  const expect = [
    { at: '/echo', matches: '^Basic ' },
    { at: '/password', type: 'integer' },
    { at: '/password', present: false },
    { at: '/nested', type: 'string' },
    { at: '/nested', equal: 'nothing' },
    { at: '/list', matches: '^x' },
    { at: '/version', equal: 'v2' },
  ]
  const server = await build(t, { world: { '/': { body } } })
  const found = await observe({ url: server.url, bearerToken: token, requests: [{ name: 'it', path: '/', expect }] })
  t.notMatch(JSON.stringify(found), token)
  t.notMatch(JSON.stringify(found), secret)
  t.strictSame(
    found.differences.map(({ actual }) => actual),
    [
      '"Bearer ***"',
      'of type string',
      'of type string',
      'an object',
      'an object',
      'an array',
      `"v1\\u{202e}${'x'.repeat(46)}...`,
    ],
  )
  const location = `https://user:${secret}@elsewhere.example/login?state=${secret}#${secret}`
  const redirecting = await build(t, { world: { '/': { status: 302, location } } })
  const redirected = await observe({ url: redirecting.url, requests: [{ name: 'it', path: '/' }] })
  t.match(redirected, { differences: [{ path: 'it.status', actual: '302 to https://elsewhere.example/login' }] })
  t.notMatch(JSON.stringify(redirected), secret)
  for (const world of [
    { status: 302, location: `https://elsewhere.example/${'x'.repeat(170)}${token}` },
    { contentType: `text/${token}`, body: 'no JSON' },
    { body: { echo: [token, encodeURIComponent(token), Buffer.from(token).toString('base64')].join(' ') } },
  ]) {
    const { url } = await build(t, { world: { '/': world } })
    const requests = [{ name: 'it', path: '/', expect: [{ at: '/echo', equal: 'x' }] }]
    const text = JSON.stringify(await observe({ url, bearerToken: token, requests }))
    t.match(text, 'drifted')
    for (const form of canaryForms(token)) t.notMatch(text, form)
  }
  const type = await build(t, { world: { '/': { contentType: `text/plain; note=${secret}`, body: secret } } })
  const plain = await observe({ url: type.url, requests: [{ name: 'it', path: '/', expect: [{ at: '' }] }] })
  t.match(plain, { differences: [{ actual: 'a body of type text/plain that is not JSON' }] })
})

t.test('the values of a query are shown nowhere, and the fix reads them from variables', async t => {
  const [key, bare] = ['s3cret-key/+x', 's3cret-bare']
  const path = `/v1?api_key=${encodeURIComponent(key)}&${bare}&mode=${bare}`
  const worlds: ContractWorld[string][] = [
    { status: 500 },
    { status: 403 },
    { status: 302, location: `https://elsewhere.example/${bare}` },
    { body: { echo: `${key} ${bare}` } },
  ]
  for (const world of worlds) {
    const { url } = await build(t, { world: { [path]: world } })
    const contract = { url, requests: [{ name: 'it', path, expect: [{ at: '/echo', equal: 'x' }] }] }
    const shown = JSON.stringify(await observe(contract)) + printConfig(buildConfig(contract))
    for (const secret of [key, bare]) for (const form of canaryForms(secret)) t.notMatch(shown, form, form)
  }
  const escaped = await serve(t, (_, response) => {
    response.setHeader('content-type', 'application/json')
    const text = (secret: string) => JSON.stringify(secret).replaceAll('/', '\\/').replaceAll('b', '\\u0062')
    response.end(`{"echo":[${text('bearer/s3cret')},${text(key)},${text(bare)}],"first":${text('bearer/s3cret')}}`)
  })
  const contract = {
    url: escaped,
    bearerToken: 'bearer/s3cret',
    requests: [{ name: 'it', path, expect: [{ at: '/first', equal: 'x' }] }],
  }
  t.match((await observe(contract)).differences, [{ actual: '"***"' }], 'JSON may escape any character')
  const raw = `/v1?${bare}&api_key=s3cret+slash%2fx`
  const target = await serve(t, (request, response) =>
    response.writeHead(302, { location: `https://elsewhere.example${request.url}` }).end(),
  )
  const redirected = JSON.stringify(await observe({ url: target, requests: [{ name: 'it', path: raw }] }))
  for (const secret of [bare, 's3cret+slash%2fx', 's3cret slash/x']) t.notMatch(redirected, secret)
  const { url } = await build(t, { world: { [path]: { status: 500 } } })
  const { summary, fix } = await observe({ url, requests: [{ name: 'it', path }] })
  t.equal(summary, 'Request it (/v1?api_key=***&***&mode=***) returned 500 instead of 200.')
  t.equal(fix, `curl -sS -i '${url}/v1?api_key='"\${PASSWORD:?}"'&'"\${PASSWORD_2:?}"'&mode='"\${PASSWORD_2:?}"`)
})

t.test('no request goes to a metadata server or a link-local address', async t => {
  const { blocks } = createAddressRules()
  for (const address of [
    '169.254.169.254',
    '169.254.0.1',
    '0.0.0.0',
    '255.255.255.255',
    '224.0.0.1',
    '100.100.100.200',
    '::',
    'fe80::1',
    'ff02::1',
    'fd00:ec2::254',
    'fd20:ce::254',
    '::ffff:169.254.169.254',
    '::ffff:a9fe:a9fe',
    '64:ff9b::a9fe:a9fe',
    '2002:a9fe:a9fe::1',
    'no address',
  ]) {
    t.ok(blocks(address), address)
  }
  for (const address of ['127.0.0.1', '::1', '10.0.0.7', '34.143.72.2', '2600:1900:4240:200::', 'fd00::1'])
    t.notOk(blocks(address), address)
  for (const url of [
    'https://169.254.169.254',
    'https://[::ffff:a9fe:a9fe]',
    'https://2852039166',
    'https://0xa9.0xfe.0xa9.0xfe',
    'https://metadata.google.internal',
    'https://metadata',
  ]) {
    const found = await observe({ url, bearerToken: token })
    t.match(
      found,
      { status: 'unknown', unknownReason: { code: 'INVALID_ARGUMENT', message: /No request was sent/ } },
      url,
    )
  }
  t.test('nor to a name that resolves to one, even among others', async t => {
    const server = await build(t)
    const url = server.url.replace('127.0.0.1', 'localhost')
    const found = await observe(
      { url },
      {
        resolve: async () => [
          { address: '127.0.0.1', family: 4 },
          { address: '169.254.169.254', family: 4 },
        ],
      },
    )
    t.match(found, { unknownReason: { message: /localhost resolves to 169\.254\.169\.254, .* No request was sent/ } })
    t.same(server.requests, [])
  })
  t.test('a name is resolved once per connection: the checked address is the one connected to', async t => {
    const server = await build(t)
    let asked = 0
    const resolve = async () => [{ address: asked++ % 2 === 0 ? '127.0.0.1' : '169.254.169.254', family: 4 as const }]
    const only = requests.slice(0, 1)
    const url = server.url.replace('127.0.0.1', 'localhost')
    t.match(await observe({ url, requests: only }, { resolve }), { status: 'in_sync' })
    t.equal(asked, 1)
  })
})

t.test('sizes and times are bounded', async t => {
  t.test('a body of 50 MiB is not read to the end', async t => {
    let sent = 0
    const piece = Buffer.alloc(1024 * 1024, ' ')
    const url = await serve(t, (_, response) => {
      const write = (): unknown => {
        for (; sent < 50; sent++) if (!response.write(piece)) return response.once('drain', write)
        return response.end()
      }
      write()
    })
    const found = await observe({ url, requests: requests.slice(0, 1) })
    t.match(found, { status: 'drifted', differences: [{ actual: 'a body of more than 4 MiB' }] })
    t.ok(sent < 50, `${sent} MiB were sent`)
  })
  t.test('a never-ending response is abandoned', async t => {
    const ending = new AbortController()
    const url = await serve(t, (_, response) => {
      response.write('{')
      ending.abort(new DriftwatchError('DEADLINE_EXCEEDED', 'timed out after 5 s'))
    })
    const found = await observe({ url, requests: requests.slice(0, 1) }, { signal: ending.signal })
    t.match(found, { status: 'unknown', unknownReason: { code: 'DEADLINE_EXCEEDED' } })
  })
  t.test('a response that has not started in time is reported as late before the probe ends', async t => {
    const hanging = await serve(t, () => {})
    const late = { ...requests[0], maxLatency: '50ms' }
    t.match(await observe({ url: hanging, requests: [late] }), {
      status: 'drifted',
      unknownReason: null,
      summary: /^Request openapi had no complete response after \d+ ms \(limit: 50 ms\)\.$/,
      differences: [
        { path: 'openapi.latency', kind: 'changed', expected: 'at most 50 ms', actual: /^more than \d+ ms$/ },
      ],
    })
  })
  t.test('a body that does not arrive before the probe ends is late', async t => {
    const trickling = await serve(t, (_, response) => response.write('{'))
    const late = { ...requests[0], maxLatency: '10ms' }
    t.match(await observe({ url: trickling, requests: [late] }, { answerWithinMs: 200 }), {
      status: 'drifted',
      differences: [{ path: 'openapi.latency' }],
    })
  })
  t.test('is unknown if the probe ends before the limit', async t => {
    const hanging = await serve(t, () => {})
    t.match(await observe({ url: hanging, requests: requests.slice(0, 1) }, { answerWithinMs: 50 }), {
      status: 'unknown',
      unknownReason: { code: 'DEADLINE_EXCEEDED' },
    })
  })
  t.test('is unknown if the request was never sent', async t => {
    const url = (await serve(t, () => {})).replace('127.0.0.1', 'localhost')
    const late = { ...requests[0], maxLatency: '10ms' }
    const resolve = () => new Promise<never>(() => {})
    t.match(await observe({ url, requests: [late] }, { resolve, answerWithinMs: 100 }), {
      status: 'unknown',
      unknownReason: { code: 'DEADLINE_EXCEEDED' },
    })
  })
  t.test('a slow request is repeated once, and the faster response counts', async t => {
    const slow = { ...requests[0], maxLatency: '20ms' }
    const world = { ...healthy, [openapi_]: { body: openapi, latencyMs: 60 } }
    const server = await build(t, { world })
    t.match(await observe({ url: server.url, requests: [slow] }), {
      status: 'drifted',
      differences: [{ path: 'openapi.latency', kind: 'changed', expected: 'at most 20 ms' }],
    })
    t.equal(server.requests.length, 2, 'twice')
  })
  t.test('is unknown if the response is late only because the event loop stalled', async t => {
    const slow = { ...requests[0], maxLatency: '20ms' }
    const server = await build(t, { world: { ...healthy, [openapi_]: { body: openapi, latencyMs: 60 } } })
    const lost = { status: 'unknown', differences: [], unknownReason: { code: 'LOOP_BLOCKED' } }
    const late = { status: 'drifted', differences: [{ path: 'openapi.latency' }] }
    for (const [stoodStill, expected] of [
      [[0, 5000, 5000, 9000], lost],
      [[0, 0, 0, 5000], lost],
      [[0, 5000, 5000, 5000], late],
      [[0, 10, 10, 20], lost],
    ] as const) {
      t.match(await observe({ url: server.url, requests: [slow] }, { stoodStill }), expected, `${stoodStill}`)
    }
    const silent = await serve(t, () => {})
    t.match(await observe({ url: silent, requests: [slow] }, { stoodStill: [0, 5000, 5000, 9000] }), lost)
    t.match(await observe({ url: silent, requests: [slow] }), late)
  })
  t.test('a transient failure is not drift', async t => {
    let asked = 0
    const url = await serve(t, (_, response) => {
      asked++
      if (asked === 1) response.writeHead(503).end()
      else response.end(JSON.stringify(openapi))
    })
    t.match(await observe({ url, requests: requests.slice(0, 1) }), { status: 'in_sync' })
  })
  t.test('is unknown if the connection is refused', async t => {
    const server = await startContract()
    await server.close()
    t.match(await observe({ url: server.url }), {
      status: 'unknown',
      unknownReason: { code: 'UNAVAILABLE', message: /ECONNREFUSED/ },
    })
  })
  t.test('is unknown if the server does not speak HTTP', async t => {
    const url = await serve(t, ({ socket }) => socket.end('SSH-2.0-OpenSSH_9.9\r\n'))
    t.match(await observe({ url }), { status: 'unknown', unknownReason: { code: 'MALFORMED_RESPONSE' } })
  })
})

t.test('the config', async t => {
  const url = 'https://runtime.example'
  const shown = printConfig(buildConfig({ url, bearerToken: token }))
  t.notMatch(shown, token)
  t.match(shown, /bearerToken: "?\*\*\*/)
  const latencyAt = (timeout: string) =>
    parseConfig(
      JSON.stringify({
        timeout,
        stacks: [
          { name: 'a', project: 'acme', region: 'here', service: { name: 'a' }, httpContract: { url, requests } },
        ],
      }),
      'test.yaml',
      {},
    ).stacks[0]?.httpContract?.requests[0]?.maxLatencyMs
  t.strictSame(['10s', '2s'].map(latencyAt), [5000, 1800], 'the default is not longer than the time for a response')
  t.match(buildConfig({ url: '' }).stacks[0], { httpContract: null, notes: [/`httpContract\.url` is empty/] })
  const problem = (contract: object) => {
    try {
      buildConfig({ url, ...contract })
      return 'none'
    } catch (error) {
      return (error as Error).message
    }
  }
  for (const [contract, message] of [
    [{ url: 'http://runtime.example' }, /invalid value .*: expected an https URL without a path/],
    [{ url: 'https://user:secret@runtime.example' }, /: expected an https URL/],
    [{ url: 'https://runtime.example/path' }, /: expected an https URL/],
    [{ bearerToken: 'two words' }, /bearerToken: invalid value: expected a token$/],
    [{ bearerToken: 'x', identityTokenAudience: 'y' }, /set only one of them/],
    [{ requests: [] }, /must not be empty/],
    [{ requests: [requests[0], requests[0]] }, /duplicate name/],
    [
      { requests: [{ name: 'a', path: '//elsewhere.example' }] },
      /invalid value "\/\/elsewhere.example": expected a path/,
    ],
    [{ requests: [{ name: 'a', path: '/', status: 99 }] }, /invalid value .*: expected an HTTP status/],
    [
      { requests: [{ name: 'a', path: '/', maxLatency: '9001ms' }] },
      /requests\[0\]\.maxLatency: 9001ms is longer than 90 % of timeout \(10s\)\. Use at most 9s/,
    ],
    [{ requests: [{ name: 'a', path: '/', maxLatency: '9s' }] }, /^none$/],
    [{ requests: [{ name: 'a', path: '/', expect: [{ at: 'paths' }] }] }, /invalid value .*: expected a JSON Pointer/],
    [{ requests: [{ name: 'a', path: '/', expect: [{ at: '/~2' }] }] }, /invalid value .*: expected a JSON Pointer/],
    [
      { requests: [{ name: 'a', path: '/', expect: [{ at: '', matches: '(?=a)' }] }] },
      /invalid value .*: expected an RE2 regular expression/,
    ],
    [
      { requests: [{ name: 'a', path: '/', expect: [{ at: '', type: 'text' }] }] },
      /invalid value "text": expected one of string, number/,
    ],
  ] as const) {
    t.match(problem(contract), message, JSON.stringify(contract))
  }
})
