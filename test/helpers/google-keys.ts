import { createSign, generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'

export const audience = 'https://driftwatch.example'
export const caller = 'deployer@acme.iam.gserviceaccount.com'

/** An emulated key server of Google, which counts its requests. */
export async function startGoogleKeys(t: Test, answer?: (response: ServerResponse) => void) {
  const generate = (kid: string) => ({ kid, ...generateKeyPairSync('rsa', { modulusLength: 2048 }) })
  let current = generate('current')
  const published = [current]
  let reads = 0
  const server = createServer((_request, response) => {
    reads += 1
    if (answer) return answer(response)
    response.writeHead(200, { 'cache-control': 'public, max-age=3600, must-revalidate' })
    const jwks = published.map(({ kid, publicKey }) => ({
      kid,
      alg: 'RS256',
      use: 'sig',
      ...publicKey.export({ format: 'jwk' }),
    }))
    response.end(JSON.stringify({ keys: jwks }))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const sign = (claims: object, head: object = {}) => {
    const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')
    const signed = `${encode({ alg: 'RS256', kid: current.kid, typ: 'JWT', ...head })}.${encode(claims)}`
    return `${signed}.${createSign('RSA-SHA256').update(signed).sign(current.privateKey, 'base64url')}`
  }
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/certs`
  return {
    url,
    sign,
    reads: () => reads,
    /** Publishes another key in addition to the first, and signs with it from now on. */
    rotate() {
      current = generate('next')
      published.push(current)
    },
  }
}

/** The claims of a valid token. */
export function claims(override: object = {}) {
  const now = Math.floor(Date.now() / 1000)
  return {
    iss: 'https://accounts.google.com',
    aud: audience,
    sub: '1',
    email: caller,
    email_verified: true,
    iat: now - 10,
    exp: now + 3590,
    ...override,
  }
}
