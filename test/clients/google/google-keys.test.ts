import type { ServerResponse } from 'node:http'
import t from 'tap'
import { createGoogleKeys } from '../../../src/clients/google/google-keys.ts'
import { createIdTokenVerifier } from '../../../src/clients/google/id-token-verifier.ts'
import { type Clock, systemClock } from '../../../src/clock.ts'
import { createAdvancedClock } from '../../helpers/clock.ts'
import { audience, claims, startGoogleKeys } from '../../helpers/google-keys.ts'

function google(url: string, clock: Clock = systemClock) {
  return createIdTokenVerifier(audience, createGoogleKeys(clock, url))
}

t.test('keys are cached for as long as Google allows, by the monotonic clock', async t => {
  let down = false
  const keys = await startGoogleKeys(t)
  const known = await (await fetch(keys.url)).text()
  const relay = await startGoogleKeys(t, response => {
    response.writeHead(down ? 500 : 200, { 'cache-control': 'public, max-age=3600' }).end(known)
  })
  const clock = createAdvancedClock()
  const { verify } = google(relay.url, clock)
  const ask = () => verify(keys.sign(claims()))
  await ask()
  down = true
  clock.advance(3_590_000)
  await ask()
  clock.set(86_400_000)
  await ask()
  t.equal(relay.reads(), 1)
  clock.advance(20_000)
  await t.rejects(ask(), { code: 'KEYS_UNAVAILABLE' })
  down = false
  await ask()
  t.equal(relay.reads(), 3)
})

t.test('keys are cached for a minute at least and a day at most, whatever max-age says', async t => {
  const day = 86_400_000
  for (const [header, forMs] of [
    ['max-age=0', 60_000],
    ['no-store', 60_000],
    ['', 60_000],
    ['max-age=-1', 60_000],
    ['x-max-age=7200', 60_000],
    ['public, Max-Age="7200"', 7_200_000],
    ['max-age=31536000', day],
    [`max-age=${'9'.repeat(400)}`, day],
  ] as const) {
    const keys = await startGoogleKeys(t)
    const known = await (await fetch(keys.url)).text()
    const relay = await startGoogleKeys(t, response => response.setHeader('cache-control', header).end(known))
    const clock = createAdvancedClock()
    const { verify } = google(relay.url, clock)
    await verify(keys.sign(claims()))
    clock.advance(forMs - 5000)
    await verify(keys.sign(claims()))
    t.equal(relay.reads(), 1, header)
    clock.advance(5000)
    await verify(keys.sign(claims()))
    t.equal(relay.reads(), 2, header)
  }
})

t.test('a token signed with a key that is not cached is accepted after one refetch', async t => {
  const keys = await startGoogleKeys(t)
  const clock = createAdvancedClock()
  const { verify } = google(keys.url, clock)
  await verify(keys.sign(claims()))
  const first = keys.sign(claims())
  keys.rotate()
  clock.advance(60_000)
  await Promise.all(Array.from({ length: 20 }, () => verify(keys.sign(claims()))))
  t.equal(keys.reads(), 2)
  await verify(first)
  t.equal(keys.reads(), 2, 'the first key is still valid')
})

t.test('unknown keys cause one refetch in 30 s at most', async t => {
  const keys = await startGoogleKeys(t)
  const clock = createAdvancedClock()
  const { verify } = google(keys.url, clock)
  const unknown = () => verify(keys.sign(claims(), { kid: 'unknown' }))
  for (const reads of [1, 2, 3]) {
    for (let at = 0; at < 5; at += 1) await t.rejects(unknown(), { code: 'TOKEN_REFUSED' })
    t.equal(keys.reads(), reads)
    clock.advance(29_000)
    await t.rejects(unknown(), { code: 'TOKEN_REFUSED' })
    t.equal(keys.reads(), reads)
    clock.advance(1001)
  }
})

t.test('a failed refetch is not reported as an invalid token, and cached keys stay valid', async t => {
  let down = false
  const keys = await startGoogleKeys(t)
  const known = await (await fetch(keys.url)).text()
  const relay = await startGoogleKeys(t, response => {
    response.writeHead(down ? 500 : 200, { 'cache-control': 'public, max-age=3600' }).end(known)
  })
  const clock = createAdvancedClock()
  const { verify } = google(relay.url, clock)
  await verify(keys.sign(claims()))
  down = true
  clock.advance(60_000)
  for (const attempt of ['the refetch', 'until the next refetch']) {
    const unknown = verify(keys.sign(claims(), { kid: 'next' }))
    await t.rejects(unknown, { code: 'KEYS_UNAVAILABLE' }, attempt)
  }
  await verify(keys.sign(claims()))
  t.equal(relay.reads(), 2)
})

t.test('an invalid key set is KEYS_UNAVAILABLE, and a redirect to another host is not followed', async t => {
  const sets = [null, {}, 'a key', [], [null], ['a key'], [{}], [{ kid: 'current' }], [{ kid: 'current', kty: 'RSA' }]]
  const bodies = ['<html>', 'null', '{}', '[]', '5', '"text"', '', ...sets.map(keys => JSON.stringify({ keys }))]
  for (const body of bodies) {
    const keys = await startGoogleKeys(t, response => response.end(body))
    await t.rejects(google(keys.url).verify(keys.sign(claims())), { code: 'KEYS_UNAVAILABLE' }, body)
    t.equal(keys.reads(), 1, 'one attempt')
  }
  const elsewhere = await startGoogleKeys(t)
  const moved = await startGoogleKeys(t, response => response.writeHead(302, { location: elsewhere.url }).end())
  await t.rejects(google(moved.url).verify(elsewhere.sign(claims())), { code: 'KEYS_UNAVAILABLE' })
  t.equal(elsewhere.reads(), 0)
})

t.test('at most 64 KiB of a key set are read', async t => {
  const closed = Promise.withResolvers<void>()
  let sent = 0
  const keys = await startGoogleKeys(t, response => {
    response.once('close', closed.resolve)
    const send = () => {
      sent += 65_536
      if (!response.destroyed && response.write(Buffer.alloc(65_536, ' '))) send()
    }
    response.on('drain', send)
    send()
  })
  await t.rejects(google(keys.url).verify(keys.sign(claims())), { code: 'KEYS_UNAVAILABLE' })
  await closed.promise
  t.ok(sent < 32 * 2 ** 20, `${sent} bytes were sent`)
})

const hanging = {
  'never begins': () => {},
  'never ends': (response: ServerResponse) => response.write(' '),
}

for (const [what, answer] of Object.entries(hanging)) {
  t.test(`a response that ${what} is awaited for 5 s, or until the shutdown`, async t => {
    const closed = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const asked = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const keys = await startGoogleKeys(t, response => {
      const at = keys.reads() - 1
      response.once('close', () => closed[at]?.resolve())
      answer(response)
      asked[at]?.resolve()
    })
    const clock = createAdvancedClock()
    const known = createGoogleKeys(clock, keys.url)
    const verifier = createIdTokenVerifier(audience, known)
    const ask = () => t.rejects(verifier.verify(keys.sign(claims())), { code: 'KEYS_UNAVAILABLE' })
    const late = ask()
    await asked[0]?.promise
    clock.advance(5001)
    await late
    await closed[0]?.promise
    const ended = ask()
    await asked[1]?.promise
    known.close()
    await ended
    await closed[1]?.promise
    await ask()
    t.equal(keys.reads(), 2)
  })
}
