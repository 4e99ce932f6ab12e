import t from 'tap'
import { httpContract } from '../../src/checks/http-contract.ts'
import type { IdTokenSource } from '../../src/clients/google/id-token-source.ts'
import { createContractClient } from '../../src/clients/http/contract-client.ts'
import { systemClock } from '../../src/clock.ts'
import { startDeadline } from '../../src/concurrency/deadline.ts'
import { parseConfig } from '../../src/config/load.ts'
import { createHttpProbe } from '../../src/probes/http.ts'
import { hostileAnswers, startHostileServer } from '../helpers/hostile-server.ts'

function buildProbe(answerWithinMs: number, tokens: IdTokenSource | null = null) {
  return createHttpProbe({
    client: createContractClient({ clock: systemClock }),
    tokens,
    clock: systemClock,
    eventLoop: { stalledMs: () => 0 },
    answerWithinMs,
  })
}

function buildConfig(contract: object) {
  const stack = { name: 'runtime', project: 'acme', region: 'us-central1', service: { name: 'runtime' } }
  const config = parseConfig(JSON.stringify({ stacks: [{ ...stack, httpContract: contract }] }), 'test.yaml', {})
  const [first] = config.stacks
  if (!first) throw new Error('there is a stack')
  return { config, stack: first }
}

/** The outcomes of answers that say something about the contract; all others are failures. */
const outcomes: Readonly<Record<string, object>> = {
  'an upgrade': { status: 101 },
  'an open upgrade': { status: 101 },
  'an upgrade to nothing': { status: 101 },
  'a switch to HTTP/2': { status: 101 },
  'an upgrade by 200': { status: 200 },
  'status 000': { status: 0 },
  'status 999': { status: 999 },
  'endless headers': { kind: 'failed', code: 'MALFORMED_RESPONSE', message: /HPE_HEADER_OVERFLOW/ },
  'endless trailers': { kind: 'failed', code: 'MALFORMED_RESPONSE' },
  'endless interim responses': { kind: 'failed', code: 'MALFORMED_RESPONSE', message: /more than 20 interim/ },
  'endless chunks': { kind: 'answered', document: { what: 'a body of more than 4 MiB' } },
  'only 100': { kind: 'failed', code: 'UNAVAILABLE' },
  'only 103': { kind: 'failed', code: 'UNAVAILABLE' },
  'a reset': { kind: 'failed', code: 'UNAVAILABLE', message: /ECONNRESET/ },
  nothing: { kind: 'failed', code: 'UNAVAILABLE' },
  'a cut body': { kind: 'failed', code: 'UNAVAILABLE' },
  'status 0': { kind: 'failed', code: 'MALFORMED_RESPONSE' },
  silence: { kind: 'silent' },
  'an open interim response': { kind: 'silent' },
  'an open body': { kind: 'silent' },
}

t.test('every request ends, whatever is answered, and does not hide the drift of the others', async t => {
  const host = await startHostileServer(t, () => 'HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n')
  const requests = hostileAnswers.map((answer, at) => ({
    name: `r${at}`,
    path: `/${encodeURIComponent(answer)}`,
    maxLatency: '500ms',
  }))
  const contract = { url: `http://${host}`, requests: [...requests, { name: 'beside', path: '/usual' }] }
  const { config, stack } = buildConfig(contract)
  const http = await buildProbe(3000).observe(stack, startDeadline(systemClock, 60_000))
  for (const [at, answer] of hostileAnswers.entries()) {
    const found = http.get(`r${at}`)
    t.ok(found, answer)
    t.match(found, outcomes[answer] ?? {}, answer)
  }
  const finding = httpContract.judge({ stack, config, observed: { http }, observedAt: systemClock.now() })
  t.equal(finding.status, 'drifted')
  t.ok(finding.proven.includes('beside.status'))
  const upgraded = finding.differences.find(({ path }) => path === 'r0.status')
  t.match(upgraded, { expected: '200', actual: '101' })
})

t.test('an identity token that never arrives ends with the probe, and is named', async t => {
  const { stack } = buildConfig({
    url: 'http://localhost',
    identityTokenAudience: 'https://a.example',
    requests: [{ name: 'it', path: '/' }],
  })
  const host = await startHostileServer(t, () => '')
  const probe = buildProbe(50, { token: async () => (await fetch(`http://${host}/silence`)).text() })
  await t.rejects(probe.observe(stack, startDeadline(systemClock, 60_000)), {
    code: 'DEADLINE_EXCEEDED',
    message: 'no identity token for https://a.example: timed out after 50 ms',
  })
})
