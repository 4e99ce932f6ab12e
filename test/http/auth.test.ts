import { Writable } from 'node:stream'
import t, { type Test } from 'tap'
import { createGoogleKeys } from '../../src/clients/google/google-keys.ts'
import { createIdTokenVerifier } from '../../src/clients/google/id-token-verifier.ts'
import { type Clock, systemClock } from '../../src/clock.ts'
import { createLog } from '../../src/cloud-log.ts'
import { parseConfig } from '../../src/config/load.ts'
import { printConfig } from '../../src/config/print-config.ts'
import { createSecret } from '../../src/config/secret.ts'
import { buildApp } from '../../src/http/app.ts'
import { type Auth, acceptCallers, acceptTokens, createAuth } from '../../src/http/auth.ts'
import { defaultLimits } from '../../src/http/limits.ts'
import { createMetrics } from '../../src/metrics/metrics.ts'
import { createRenderer } from '../../src/report/rendered.ts'
import { createAdvancedClock } from '../helpers/clock.ts'
import { audience, caller, claims, startGoogleKeys } from '../helpers/google-keys.ts'
import { buildSnapshot, noon } from '../helpers/states.ts'
import { unhurriedLimits } from '../helpers/unhurried-limits.ts'

const token = 'canary-token-0123456789abcdef'
const older = 'canary-older-0123456789abcdef'

const paths = ['/', '/drift', '/drift/gate', '/drift/runtime', '/metrics', '/docs/', '/openapi.json', '/nope']

const { refreshesPerMinute } = defaultLimits

async function serve(t: Test, auth: Auth | null, clock: Clock = systemClock) {
  let logged = ''
  const stream = new Writable({
    write(line, _encoding, done) {
      logged += line
      done()
    },
  })
  let refreshes = 0
  const rendered = createRenderer()(buildSnapshot())
  const app = buildApp({
    rendered: () => rendered,
    readiness: () => ({ ready: true }),
    metrics: createMetrics({ build: { version: '1', node: 'v24' } }),
    refresh: async () => {
      refreshes += 1
      return { id: 7, startedAt: noon, durationMs: 5 }
    },
    auth: () => auth,
    limits: unhurriedLimits,
    clock,
    log: createLog({ level: 'trace', clock: systemClock, stream }),
  })
  t.teardown(() => app.close())
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  const ask = async (path: string, authorization?: string, method = 'GET') => {
    const answer = await fetch(url + path, { method, ...(authorization && { headers: { authorization } }) })
    const text = await answer.text()
    const code = answer.ok ? null : (JSON.parse(text) as { error: { code: string } }).error.code
    return { status: answer.status, code, text, headers: answer.headers }
  }
  return { ask, logged: () => logged, refreshes: () => refreshes }
}

const bearer = (scope: Auth['for']): Auth => ({
  for: scope,
  authenticate: acceptTokens([createSecret(token, '***'), createSecret(older, '***')]),
})

t.test('without auth any client may read, and actions are disabled', async t => {
  const { ask, refreshes } = await serve(t, null)
  for (const path of ['/', '/drift', '/metrics', '/health/live']) t.equal((await ask(path)).status, 200, path)
  for (const authorization of [undefined, `Bearer ${token}`]) {
    const answer = await ask('/refresh', authorization, 'POST')
    t.equal(answer.status, 403)
    t.equal(answer.code, 'AUTH_NOT_CONFIGURED')
  }
  t.equal(refreshes(), 0)
})

t.test('with auth for all, every path except health requires a token', async t => {
  const { ask } = await serve(t, bearer('all'))
  for (const path of paths) {
    const answer = await ask(path)
    t.equal(answer.status, 401, path)
    t.equal(answer.code, 'TOKEN_MISSING', path)
    t.equal(answer.headers.get('www-authenticate'), 'Bearer realm="driftwatch"', path)
    t.equal(answer.headers.get('x-content-type-options'), 'nosniff')
    t.equal((await ask(path, `Bearer ${token}`)).status, path === '/nope' ? 404 : 200, path)
  }
  for (const path of ['/health/live', '/health/ready']) t.equal((await ask(path)).status, 200, path)
  const described = JSON.parse((await ask('/openapi.json', `Bearer ${token}`)).text)
  t.match(described, {
    security: [{ bearer: [] }],
    components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
    paths: { '/health/live': { get: { security: [] } }, '/refresh': { post: { security: [{ bearer: [] }] } } },
  })
})

t.test('with auth for actions, reading is open', async t => {
  const { ask, refreshes } = await serve(t, bearer('acting'))
  for (const path of ['/', '/drift', '/metrics']) t.equal((await ask(path)).status, 200, path)
  t.equal((await ask('/refresh', undefined, 'POST')).code, 'TOKEN_MISSING')
  t.equal(refreshes(), 0)
  const answer = await ask('/refresh', `Bearer ${token}`, 'POST')
  t.equal(answer.status, 200)
  t.same(JSON.parse(answer.text), {
    cycle: { id: 7, startedAt: new Date(noon).toISOString(), durationMs: 5 },
  })
  t.notOk('security' in JSON.parse((await ask('/openapi.json')).text))
})

t.test('only the tokens of the config are accepted', async t => {
  const { ask, logged } = await serve(t, bearer('all'))
  for (const authorization of [`Bearer ${token}`, `bearer ${token}`, `Bearer  ${older}`]) {
    t.equal((await ask('/drift', authorization)).status, 200, authorization)
  }
  const refused = [`Bearer ${token}x`, `Bearer ${token.slice(1)}`, 'Bearer x', `Bearer ${token.toUpperCase()}`]
  for (const authorization of refused) {
    const answer = await ask('/drift', authorization)
    t.equal(answer.code, 'TOKEN_REFUSED', authorization)
    t.equal(answer.status, 401)
    t.match(answer.headers.get('www-authenticate'), 'error="invalid_token"')
  }
  const missing = [
    'Bearer',
    'Bearer ',
    `Basic ${btoa(`a:${token}`)}`,
    token,
    `Bearer ${token} more`,
    `Bearer ${token}?`,
  ]
  for (const authorization of missing) {
    t.equal((await ask('/drift', authorization)).code, 'TOKEN_MISSING', authorization)
  }
  t.notMatch(logged(), 'canary', 'the log shows none of them')
})

t.test('a refresh is a POST without parameters', async t => {
  const { ask, refreshes } = await serve(t, bearer('acting'))
  for (const method of ['GET', 'HEAD', 'PUT', 'DELETE']) {
    const answer = await ask('/refresh', `Bearer ${token}`, method === 'HEAD' ? 'OPTIONS' : method)
    t.equal(answer.status, 405, method)
    t.equal(answer.headers.get('allow'), 'POST')
  }
  t.equal(refreshes(), 0)
  t.equal((await ask('/refresh?x=1', `Bearer ${token}`, 'POST')).code, 'USAGE')
})

t.test('refreshes are rate-limited for all clients together, and rejected ones do not count', async t => {
  const clock = createAdvancedClock()
  const { ask, refreshes } = await serve(t, bearer('acting'), clock)
  const refresh = (one = token) => ask('/refresh', `Bearer ${one}`, 'POST')
  for (let at = 0; at < 10; at += 1) await refresh('nonsense')
  t.equal((await refresh()).status, 200)
  clock.advance(30_000)
  for (let at = 1; at < refreshesPerMinute; at += 1) t.equal((await refresh(at % 2 ? token : older)).status, 200)
  const answer = await refresh()
  t.equal(answer.status, 429)
  t.equal(answer.code, 'RATE_LIMITED')
  const seconds = Number(answer.headers.get('retry-after'))
  t.ok(seconds > 0 && seconds <= 30, 'in as many seconds')
  t.match(answer.text, `too many refresh requests; retry after ${seconds} s`)
  t.equal(refreshes(), refreshesPerMinute)
  for (const path of ['/metrics', '/health/live', '/drift']) t.equal((await ask(path)).status, 200, path)
  clock.advance(30_000)
  t.equal((await refresh()).status, 200, 'a minute after the first')
  t.equal((await refresh()).status, 429, 'but not yet a minute after the second')
  clock.advance(60_000)
  for (let at = 0; at < refreshesPerMinute; at += 1) t.equal((await refresh()).status, 200)
  t.equal((await refresh()).status, 429)
})

t.test('setting the system clock does not change the rate limit', async t => {
  const { now } = Date
  t.teardown(() => {
    Date.now = now
  })
  const { ask } = await serve(t, bearer('acting'))
  const refresh = () => ask('/refresh', `Bearer ${token}`, 'POST')
  for (let at = 0; at < refreshesPerMinute; at += 1) t.equal((await refresh()).status, 200)
  for (const hours of [-1, 1]) {
    Date.now = () => now() + hours * 3_600_000
    const answer = await refresh()
    t.equal(answer.status, 429)
    t.ok(Number(answer.headers.get('retry-after')) <= 60)
  }
})

function google(url: string): Auth {
  const keys = createGoogleKeys(systemClock, url)
  return { for: 'all', authenticate: acceptCallers(createIdTokenVerifier(audience, keys), [caller]) }
}

t.test('an identity token is accepted if its audience, caller and times are valid', async t => {
  const keys = await startGoogleKeys(t)
  const { ask, logged } = await serve(t, google(keys.url))
  const now = Math.floor(Date.now() / 1000)
  const accepted = [
    {},
    { iss: 'accounts.google.com' },
    { email: caller.toUpperCase() },
    { iat: now + 200, exp: now + 3000 },
    { iat: now - 3800, exp: now - 200 },
    { nbf: now - 10 },
    { iat: now + 200, nbf: now + 200, exp: now + 3000 },
  ]
  for (const override of accepted) {
    t.equal((await ask('/drift', `Bearer ${keys.sign(claims(override))}`)).status, 200, JSON.stringify(override))
  }
  const refused = [
    { aud: 'https://elsewhere.example' },
    { aud: [audience] },
    { aud: undefined },
    { iss: 'https://accounts.google.com.evil.example' },
    { iat: now - 4000, exp: now - 400 },
    { iat: now + 400, exp: now + 3000 },
    { exp: now + 30 * 86_400 },
    { exp: undefined },
    { iat: undefined },
    { nbf: now + 4000 },
    { nbf: now + 60 },
    { nbf: 'tomorrow' },
    { iat: now, exp: now - 100 },
    { email: undefined },
    { email_verified: false },
    { email_verified: 'true' },
    { email_verified: undefined },
  ]
  for (const override of refused) {
    const answer = await ask('/drift', `Bearer ${keys.sign(claims(override))}`)
    t.equal(answer.status, 401, JSON.stringify(override))
    t.equal(answer.code, 'TOKEN_REFUSED', JSON.stringify(override))
  }
  for (const head of [
    { crit: ['b64'], b64: true },
    { crit: ['b64'], b64: false },
    { crit: ['exp'] },
    { crit: [] },
    { b64: true },
    { b64: false },
    { typ: 'at+jwt' },
    { typ: 5 },
  ]) {
    const answer = await ask('/drift', `Bearer ${keys.sign(claims(), head)}`)
    t.equal(answer.code, 'TOKEN_REFUSED', JSON.stringify(head))
  }
  const stranger = await ask('/drift', `Bearer ${keys.sign(claims({ email: 'stranger@evil.example' }))}`)
  t.equal(stranger.status, 403)
  t.equal(stranger.code, 'CALLER_NOT_ALLOWED')
  t.equal(keys.reads(), 1, 'the keys are cached')
  t.notMatch(logged(), /eyJ/, 'no token is logged')
})

t.test('a token that Google did not sign is rejected, and an unsigned one without a request for keys', async t => {
  const [keys, others] = [await startGoogleKeys(t), await startGoogleKeys(t)]
  const { ask } = await serve(t, google(keys.url))
  const good = keys.sign(claims())
  const [head = '', body = '', signature = ''] = good.split('.')
  const unsigned = Buffer.from(JSON.stringify({ alg: 'none', kid: 'current' })).toString('base64url')
  const unfetched = [
    'nonsense',
    'a.b.c',
    `${head}.${body}`,
    `${unsigned}.${body}.`,
    keys.sign(claims(), { alg: 'HS256' }),
  ]
  for (const token of unfetched) {
    t.match(await ask('/drift', `Bearer ${token}`), { status: 401 }, token.slice(0, 20))
  }
  t.equal(keys.reads(), 0)
  const refused = [
    others.sign(claims()),
    keys.sign(claims(), { kid: 'unknown' }),
    keys.sign(claims(), { kid: '__proto__' }),
    `${head}.${Buffer.from(JSON.stringify(claims({ email: 'x@y.z' }))).toString('base64url')}.${signature}`,
    `${head}.${body}.`,
    `${good.slice(0, -8)}AAAAAAAA`,
  ]
  for (const token of refused) {
    t.match(await ask('/drift', `Bearer ${token}`), { status: 401, code: 'TOKEN_REFUSED' })
  }
  t.equal((await ask('/drift', `Bearer ${good}`)).status, 200)
})

t.test('concurrent requests share one read of the keys, and without keys no caller is accepted', async t => {
  const keys = await startGoogleKeys(t)
  const { ask } = await serve(t, google(keys.url))
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask('/drift', `Bearer ${keys.sign(claims())}`)))
  t.ok(answers.every(({ status }) => status === 200))
  t.equal(keys.reads(), 1)
  const broken = await startGoogleKeys(t, response => response.writeHead(404).end())
  const shut = await serve(t, google(broken.url))
  const answer = await shut.ask('/drift', `Bearer ${broken.sign(claims())}`)
  t.equal(answer.status, 503)
  t.equal(answer.code, 'KEYS_UNAVAILABLE')
  t.equal((await shut.ask('/health/live')).status, 200)
})

const stacks = [{ name: 'a', project: 'acme', region: 'us-central1', service: { name: 'a' } }]
const read = (auth: object, variables = {}) =>
  parseConfig(JSON.stringify({ server: { auth }, stacks }), 'test.yaml', variables)

const noKeys = createGoogleKeys(systemClock)

t.test('the config sets the authentication, and shows no token', async t => {
  const config = read({ kind: 'bearer', tokens: [`\${NEW}`, `\${OLD:-}`, `\${NEW}`] }, { NEW: token })
  t.match(config.server.auth, { kind: 'bearer', for: 'all' })
  t.equal(
    'tokens' in config.server.auth && config.server.auth.tokens.length,
    1,
    'empty and duplicate tokens do not count',
  )
  t.match(printConfig(config), /tokens: \["?\*\*\*"?\]/)
  t.notMatch(printConfig(config) + JSON.stringify(config), 'canary')
  await t.resolves(createAuth(config.server.auth, noKeys)?.authenticate(token) ?? Promise.reject())
  t.equal(createAuth(read({}).server.auth, noKeys), null)
  const named = read({ kind: 'google', audience, callers: [caller.toUpperCase()], for: 'acting' })
  t.strictSame(named.server.auth, { kind: 'google', for: 'acting', audience, callers: [caller] })
  t.equal(createAuth(named.server.auth, noKeys)?.for, 'acting')
  const again = parseConfig(printConfig(named), 'again.yaml', {})
  t.strictSame(again.server, named.server, 'the printed config is valid')
})

t.test('auth settings that reject every request, or have no effect, are config problems', async t => {
  const cases = [
    [{ kind: 'bearer' }, /server\.auth\.tokens: required by `kind: bearer`/],
    [{ kind: 'bearer', tokens: ['', ''] }, /every token is empty/],
    [
      { kind: 'bearer', tokens: ['short'] },
      /server\.auth\.tokens\[0\]: invalid value: expected a token of at least 20/,
    ],
    [{ kind: 'bearer', tokens: [`${token} with spaces`] }, /invalid value: expected a token/],
    [{ kind: 'bearer', tokens: [token], audience }, /server\.auth\.audience: not used with `kind: bearer`/],
    [{ kind: 'google', audience }, /server\.auth\.callers: required by `kind: google`/],
    [{ kind: 'google', callers: [caller] }, /server\.auth\.audience: required by `kind: google`/],
    [{ kind: 'google', audience, callers: ['missing'] }, /invalid value "missing": expected an email address/],
    [{ tokens: [token] }, /server\.auth\.tokens: not used with `kind: none`/],
    [{ kind: 'basic' }, /invalid value "basic": expected one of none, bearer, google/],
  ] as const
  for (const [auth, message] of cases) {
    t.throws(() => read(auth), { code: 'CONFIG_INVALID', message })
    try {
      read(auth)
    } catch (error) {
      t.notMatch(String(error), 'canary', 'no token is shown')
    }
  }
})
