import { EventEmitter, once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import type { Image } from './images.ts'
import { applyFault, createFaultBox, type RegistryFault, type RegistryFaultKind } from './registry/faults.ts'
import { createRequestLog, type RegistryCall, type RegistryRequests } from './registry/requests.ts'
import { answer, errorReply, jsonReply, type RegistryRequest, type Reply, routeOf } from './registry/routes.ts'
import { createRegistryStore, type RepositoryContent } from './registry/store.ts'
import { createTokenDesk, type TokenRules } from './registry/tokens.ts'

/** The content of a registry, and its fault. */
export interface RegistryWorld {
  /** With or without a host, which is ignored: the emulator serves all registry hosts. */
  readonly repositories: Readonly<Record<string, RepositoryContent>>
  readonly fault?: RegistryFaultKind
}

/** An OCI registry in memory: HTTP on 127.0.0.1. */
export interface Registry {
  /** `127.0.0.1:PORT`, for ARTIFACT_REGISTRY_EMULATOR_HOST. */
  readonly host: string
  readonly port: number
  /** All requests, including those with a fault. */
  readonly requests: RegistryRequests
  /** Resolves with the next request, before its response. */
  nextRequest(): Promise<RegistryCall>
  /** Resolves with the next request whose client disconnects before the end of the response. */
  nextBroken(): Promise<RegistryCall>
  /** Adds an image with its content, and points the tag at it unless the tag is null. */
  put(repository: string, tag: string | null, image: Image): void
  /** Removes a tag, or a digest with the tags that point at it. */
  remove(repository: string, reference: string): void
  /** Replaces the content and the fault. */
  setWorld(world: RegistryWorld): void
  setFault(fault: RegistryFault | RegistryFaultKind | null): void
  /** Requires tokens according to these rules; null: no tokens. */
  setTokens(rules: TokenRules | null): void
  /** Revokes all tokens. */
  revokeTokens(): void
  /** Sends no responses until the returned function is called. */
  hold(): () => void
  /** Aborts the requests in progress and frees the port. */
  close(): Promise<void>
}

/** What the response to a request depends on. */
interface RegistryContext {
  readonly requests: ReturnType<typeof createRequestLog>
  readonly faults: ReturnType<typeof createFaultBox>
  readonly tokens: ReturnType<typeof createTokenDesk>
  readonly events: EventEmitter
  /** Aborts when the registry closes. */
  readonly closing: AbortController
  store: ReturnType<typeof createRegistryStore>
  held: Promise<void>
}

/** Starts an emulator. Rejects if the port is in use. */
export async function startRegistry(options: { port?: number; world?: RegistryWorld } = {}): Promise<Registry> {
  const context: RegistryContext = {
    requests: createRequestLog(),
    faults: createFaultBox(),
    tokens: createTokenDesk(),
    events: new EventEmitter(),
    closing: new AbortController(),
    store: createRegistryStore(),
    held: Promise.resolve(),
  }
  const server = createServer((request, response) => {
    serve(context, request, response).catch(() => response.destroy())
  })
  server.listen(options.port ?? 0, '127.0.0.1')
  await once(server, 'listening')
  const registry = registryAt(context, server)
  if (options.world) registry.setWorld(options.world)
  return registry
}

function registryAt(context: RegistryContext, server: Server): Registry {
  const { port } = server.address() as AddressInfo
  const next = async (event: string): Promise<RegistryCall> => (await once(context.events, event))[0]
  const setFault: Registry['setFault'] = fault =>
    context.faults.set(typeof fault === 'string' ? { kind: fault } : fault)
  return {
    host: `127.0.0.1:${port}`,
    port,
    requests: context.requests,
    nextRequest: () => next('request'),
    nextBroken: () => next('broken'),
    put: (repository, tag, image) => context.store.put(repository, tag, image),
    remove: (repository, reference) => void context.store.remove(repository, reference),
    setWorld(world) {
      context.store = createRegistryStore(world.repositories)
      setFault(world.fault ?? null)
    },
    setFault,
    setTokens: rules => context.tokens.rule(rules),
    revokeTokens: () => context.tokens.revoke(),
    hold() {
      const { promise, resolve } = Promise.withResolvers<void>()
      context.held = promise
      return resolve
    },
    async close() {
      context.closing.abort()
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

async function serve(context: RegistryContext, incoming: IncomingMessage, response: ServerResponse): Promise<void> {
  const { request, call } = await received(incoming)
  response.once('close', () => {
    call.broken = !response.writableFinished
    if (call.broken) context.events.emit('broken', call)
  })
  context.requests.record(call)
  context.events.emit('request', call)
  await context.held

  const right = rightReply(context, request, incoming)
  const fault = context.faults.pick(call.about)
  if (fault?.latencyMs) await delay(fault.latencyMs, undefined, { signal: context.closing.signal })
  const reply = fault === null ? right : applyFault(fault, request.method, right)
  if (reply === 'wait') return
  if (reply === 'close') return void response.destroy()
  if (reply === 'cut') return cut(response, right)
  call.status = reply.status
  send(response, request.method, reply)
}

async function received(incoming: IncomingMessage): Promise<{ request: RegistryRequest; call: RegistryCall }> {
  const { pathname, searchParams: query } = new URL(incoming.url ?? '/', 'http://registry')
  const route = routeOf(pathname) ?? { about: 'nothing' as const, repository: '', reference: '' }
  const { authorization = 'none', accept = '', 'content-type': contentType = '' } = incoming.headers
  const method = incoming.method ?? 'GET'
  const scheme = authorization.split(' ')[0]?.toLowerCase() ?? ''
  const call = { ...route, method, authorization: scheme, status: null, broken: false }
  return { request: { ...route, method, query, accept, contentType, body: await buffer(incoming) }, call }
}

function rightReply(context: RegistryContext, request: RegistryRequest, { headers }: IncomingMessage): Reply {
  if (request.about === 'nothing') return errorReply(404, 'NOT_FOUND', 'no such path')
  if (request.about === 'token') {
    const given = context.tokens.give(request.query, headers.authorization)
    return given ? jsonReply(given) : errorReply(401, 'UNAUTHORIZED', 'invalid credentials')
  }
  const challenge = context.tokens.challenge(request.repository, headers.authorization, headers.host ?? '')
  if (challenge === null) return answer(context.store, request)
  return errorReply(401, 'UNAUTHORIZED', 'authentication required', { 'www-authenticate': challenge })
}

function send(response: ServerResponse, method: string, { status, headers = {}, body = Buffer.alloc(0) }: Reply): void {
  response.statusCode = status
  for (const [name, value] of Object.entries(headers)) {
    if (value !== '') response.setHeader(name, value)
  }
  response.setHeader('docker-distribution-api-version', 'registry/2.0')
  response.setHeader('content-length', body.byteLength)
  response.end(method === 'HEAD' ? undefined : body)
}

/** Sends half of the body, then closes the connection. */
function cut(response: ServerResponse, { status, body = Buffer.alloc(2) }: Reply): void {
  response.writeHead(status, { 'content-length': body.byteLength })
  response.write(body.subarray(0, body.byteLength / 2), () => response.destroy())
}
