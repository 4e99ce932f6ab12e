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
import { createWriteDesk } from './cloud-run/writes.ts'
import { loadWorld, type World } from './world.ts'

export interface CloudRunOptions {
  /** 0, the default: a free one. */
  readonly port?: number
  /** The healthy one if left out. */
  readonly world?: World
  /** The server caps every page at this size. Default 100. */
  readonly maxPageSize?: number
  /** Google lists the newest first, and promises nothing. */
  readonly order?: ListOrder
}

/** A running emulator of the Cloud Run Admin API v2: gRPC without TLS and without credentials, on 127.0.0.1. */
export interface CloudRun {
  /** `127.0.0.1:PORT`, for CLOUD_RUN_EMULATOR_HOST. */
  readonly host: string
  /** Every request that came, those that a fault befell too. */
  readonly calls: CallLog
  /** From now on there is this world, with its faults. */
  setWorld(world: World): void
  /** Ends the calls in flight and frees the port. */
  close(): Promise<void>
}

/** What the answer to a call depends on. */
interface Desk extends MethodContext {
  readonly pickFault: (method: string, resource: string) => Fault | null
}

type Message = Record<string, unknown>
type Answer = sendUnaryData<Message>
type Handler = (call: ServerUnaryCall<Request, Message>, answer: Answer) => void

/** Starts an emulator. Rejects where the port is taken. */
export async function startCloudRun(options: CloudRunOptions = {}): Promise<CloudRun> {
  const { maxPageSize = 100, order = 'newest-first' } = options
  const deskOf = (world: World): Desk => {
    const store = createStore(world)
    const writes = createWriteDesk(world, store)
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

/** A server of every service in `methods`; grpc-js answers what has no handler with UNIMPLEMENTED. */
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

/** What a fault answers with, or null where it leaves the answer as it is. */
function resultOf(fault: Fault | null, call: Call): Message | null {
  if (fault === null) return null
  const refused = refusalOf(fault, call.method, call.resource)
  if (refused !== null) throw refused
  return fault.empty ? {} : null
}

/** The first page, under one token after another. */
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
