import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { Json } from './merge-patch.ts'

/** The response of one path. */
export interface Answer {
  /** Default 200. */
  readonly status?: number
  /** Sent as JSON, or as text if `contentType` is set. */
  readonly body?: Json
  readonly contentType?: string
  readonly location?: string
  readonly latencyMs?: number
}

/** By path; all other paths are 404. */
export type ContractWorld = Readonly<Record<string, Answer>>

/** An emulator of the deployed service: HTTP on 127.0.0.1. */
export interface Contract {
  /** `http://127.0.0.1:PORT` or `https://localhost:PORT`. */
  readonly url: string
  /** All requests: the path, and whether there was a token. */
  readonly requests: readonly { readonly path: string; readonly authorization: string | null }[]
  setWorld(world: ContractWorld): void
  close(): Promise<void>
}

export interface ContractOptions {
  readonly world?: ContractWorld
  /** Key and certificate for `localhost` in PEM, to use TLS. */
  readonly tls?: { readonly key: string; readonly cert: string }
  /** The required token; other requests get 401. */
  readonly token?: string
}

export async function startContract(options: ContractOptions = {}): Promise<Contract> {
  const { tls, token } = options
  let world = options.world ?? {}
  const requests: { path: string; authorization: string | null }[] = []
  const waiting = new Set<NodeJS.Timeout>()
  const listener: RequestListener = ({ url = '/', headers }, response) => {
    const { authorization = null } = headers
    requests.push({ path: url, authorization })
    const allowed = token === undefined || authorization === `Bearer ${token}`
    const {
      status = 200,
      body,
      contentType,
      location,
      latencyMs = 0,
    } = allowed
      ? (world[url] ?? { status: 404, body: { error: 'not found' } })
      : { status: 401, body: { error: 'unauthenticated' } }
    const send = () => {
      response.writeHead(status, { 'content-type': contentType ?? 'application/json', ...(location && { location }) })
      response.end(contentType ? String(body ?? '') : JSON.stringify(body ?? null))
    }
    if (latencyMs === 0) return send()
    const timer = setTimeout(() => {
      waiting.delete(timer)
      send()
    }, latencyMs)
    waiting.add(timer)
  }
  const server: Server = tls ? createTlsServer(tls, listener) : createServer(listener)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as AddressInfo
  return {
    url: tls ? `https://localhost:${port}` : `http://127.0.0.1:${port}`,
    requests,
    setWorld(next) {
      world = next
    },
    async close() {
      for (const timer of waiting) clearTimeout(timer)
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}
