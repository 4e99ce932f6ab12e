import {
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
} from '@grpc/grpc-js'
import { type Call, type CallLog, createCallLog } from './cloud-run/calls.ts'
import { type Fault, faultPicker, refusalOf } from './cloud-run/faults.ts'
import { definitions } from './cloud-run/message.ts'
import { type Method, type MethodContext, methods, type Request } from './cloud-run/methods.ts'
import { codeName, isRefusal, refusal } from './cloud-run/refusal.ts'
import { createStore, type ListOrder } from './cloud-run/store.ts'
import type { Migrate } from './cloud-run/tasks.ts'
import { createWriteMethods } from './cloud-run/writes.ts'
import { loadWorld, type World } from './world.ts'

export interface CloudRunOptions {
  /** Default 0: any free port. */
  readonly port?: number
  /** Default: the healthy world. */
  readonly world?: World
  /** The server caps every page at this size. Default 100. */
  readonly maxPageSize?: number
  /** Google lists the newest first, but does not guarantee it. */
  readonly order?: ListOrder
  /** Runs the migration program of an image, by its digest; rejects if it fails. Default: it does nothing. */
  readonly migrate?: Migrate
}

/** An emulator of the Cloud Run Admin API v2: gRPC on 127.0.0.1, without TLS and credentials. */
export interface CloudRun {
  /** `127.0.0.1:PORT`, for CLOUD_RUN_EMULATOR_HOST. */
  readonly host: string
  /** All requests, including those with a fault. */
  readonly calls: CallLog
  /** Replaces the world and its faults. */
  setWorld(world: World): void
  /** Ends the calls in progress and frees the port. */
  close(): Promise<void>
}

/** What the response to a call depends on. */
interface Desk extends MethodContext {
  readonly pickFault: (method: string, resource: string) => Fault | null
}

type Message = Record<string, unknown>
type Answer = sendUnaryData<Message>
type Handler = (call: ServerUnaryCall<Request, Message>, answer: Answer) => void

/** Starts an emulator. Rejects if the port is in use. */
export async function startCloudRun(options: CloudRunOptions = {}): Promise<CloudRun> {
  const { maxPageSize = 100, order = 'newest-first', migrate = async () => {} } = options
  const deskOf = (world: World): Desk => {
    const store = createStore(world)
    const writes = createWriteMethods(world, store, migrate)
    return { store, writes, pickFault: faultPicker(world.faults), maxPageSize, order }
  }
  const calls = createCallLog()
  const waiting = new Set<NodeJS.Timeout>()
  let desk = deskOf(options.world ?? loadWorld())

  const server = serve((name, method) => ({ request }, answer) => {
    const call = callOf(name, request)
    calls.record(call)
    const { pickFault, ...context } = desk
    const fault = pickFault(name, call.resource)
    if (fault?.afterwards) method(request, context)
    if (fault?.hang) return
    const act = () => (fault?.endless ? endless(method, request, context) : method(request, context))
    const reply = () =>
      replyTo(
        call,
        answer,
        () => resultOf(fault, call) ?? { ...act(), ...(fault?.unreachable && { unreachable: fault.unreachable }) },
      )
    if (fault?.latencyMs === undefined) return reply()
    const timer = setTimeout(reply, fault.latencyMs)
    waiting.add(timer)
  })
  const port = await listen(server, options.port ?? 0)
  return {
    host: `127.0.0.1:${port}`,
    calls,
    setWorld(world) {
      desk = deskOf(world)
    },
    async close() {
      for (const timer of waiting) clearTimeout(timer)
      const closed = new Promise(resolve => server.tryShutdown(resolve))
      server.forceShutdown()
      await closed
    },
  }
}

/** A server of all services in `methods`; other methods are UNIMPLEMENTED. */
function serve(handlerOf: (name: string, method: Method) => Handler): Server {
  const server = new Server()
  for (const [service, implemented] of Object.entries(methods)) {
    const handlers = Object.entries(implemented).map(([name, method]) => [name, handlerOf(name, method)])
    const name = service.includes('.') ? service : `google.cloud.run.v2.${service}`
    server.addService(definitions[name] as ServiceDefinition, Object.fromEntries(handlers))
  }
  return server
}

function listen(server: Server, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound)
      else reject(error)
    })
  })
}

function callOf(method: string, request: Request): Call {
  const { name, parent, job, service, pageSize = 0, pageToken = '' } = request
  const written = (job ?? service)?.name
  return { method, resource: name ?? parent ?? String(written ?? ''), pageSize, pageToken, code: null }
}

/** The response of a fault; null if it does not change the response. */
function resultOf(fault: Fault | null, call: Call): Message | null {
  if (fault === null) return null
  const refused = refusalOf(fault, call.method, call.resource)
  if (refused !== null) throw refused
  return fault.empty ? {} : null
}

/** The first page again, each time with a new page token. */
function endless(method: Method, request: Request, context: MethodContext): Message {
  const page = method({ ...request, pageToken: '' }, context)
  return { ...page, nextPageToken: String(Number(request.pageToken) + 1) }
}

function replyTo(call: Call, answer: Answer, result: () => Message): void {
  try {
    const message = result()
    call.code = 'OK'
    answer(null, message)
  } catch (thrown) {
    const error = isRefusal(thrown) ? thrown : refusal('INTERNAL', `the emulator failed: ${thrown}`)
    call.code = codeName(error.code)
    answer(error)
  }
}
