import { type ClientOptions, googleAuthLibrary, grpc } from 'google-gax'
import type { Clock } from '../../clock.ts'
import type { Deadline } from '../../concurrency/deadline.ts'
import { retry } from '../../concurrency/retry.ts'
import { asDriftwatchError, DriftwatchError, type ErrorCode } from '../../errors.ts'
import { type ConnectionAge, createConnectionAge } from '../http/connection-age.ts'
import type { CallBudget } from './call-budget.ts'
import { closingSilentConnections, googleChannel } from './channel-credentials.ts'
import { createGoogleCredentials, type GoogleCredentials } from './google-credentials.ts'
import { timeoutError, translateGrpcError } from './grpc-errors.ts'
import { createReconnectingClient } from './reconnecting-client.ts'

/** Options for each call of Google's clients. Their own retries are off, because they overrun the deadline. */
export interface CallOptions {
  readonly timeout: number
  readonly retry: null
}

/** Opens a client of one API. `create` gets new options each time, because a vendor's client changes them. */
export type Connect = <Client extends { close(): Promise<void> }>(
  create: (options: ClientOptions) => Client,
) => GoogleClient<Client>

/** A client that reconnects if needed. `method` as in `GetService`; `resource` is a resource name. */
export interface GoogleClient<Client> {
  /** Sends a request until it succeeds, fails for good, or the deadline is reached. Rejects with a coded error. */
  call<T>(method: string, resource: string, deadline: Deadline, send: Send<Client, T>): Promise<T>
  /** Sends a request once, and waits `timeoutMs` for the response. Rejects with a coded error. */
  callOnce<T>(method: string, resource: string, timeoutMs: number, send: Send<Client, T>): Promise<T>
  close(): Promise<void>
}

export type Send<Client, T> = (client: Client, options: CallOptions) => Promise<T>

/** What the clients of all APIs have in common. */
export interface GoogleOptions {
  readonly clock: Clock
  /** `host:port` of an emulator, which is used without TLS and without credentials. Null: Google Cloud. */
  readonly emulatorHost: string | null
  /** How to connect to the emulator, instead of without TLS. */
  readonly channel?: grpc.ChannelCredentials | undefined
  /** Limits the age of connections. Default: 10 minutes. */
  readonly connectionAge?: ConnectionAge | undefined
  /** Called after every request; `code` is `OK` or an error code. */
  readonly onRequest?: ((method: string, code: 'OK' | ErrorCode) => void) | undefined
}

export interface GoogleApiOptions extends GoogleOptions {
  /** The name in errors: `Cloud Run`. */
  readonly system: string
  readonly maxResponseBytes: number
  /** Limits the rate of requests; if absent, there is no limit. */
  readonly budget?: Pick<CallBudget, 'take'> | undefined
}

export function openGoogleApi(options: GoogleApiOptions): Connect {
  const { system, clock, emulatorHost, channel, maxResponseBytes, budget, onRequest = () => {} } = options
  const { connectionAge = createConnectionAge(clock) } = options
  const credentials = emulatorHost === null ? createGoogleCredentials(clock) : null

  return <Client extends { close(): Promise<void> }>(create: (options: ClientOptions) => Client) => {
    const open = () => create(clientOptions(emulatorHost, maxResponseBytes, credentials, channel))
    const connection = createReconnectingClient(open, connectionAge)

    const callOnce: GoogleClient<Client>['callOnce'] = async (method, resource, timeoutMs, send) => {
      try {
        // Without credentials nothing is sent.
        await credentials?.requestHeaders()
        const response = await connection.call(client => send(client, { timeout: timeoutMs, retry: null }))
        onRequest(method, 'OK')
        return response
      } catch (thrown) {
        const error = translateGrpcError(thrown, { system, method, resource, timeoutMs })
        onRequest(method, error.code)
        throw error
      }
    }

    const call: GoogleClient<Client>['call'] = async (method, resource, deadline, send) => {
      const request = { system, method, resource, timeoutMs: deadline.at - clock.monotonic() }
      const attempt = async (timeoutMs: number) => {
        await budget?.take(resource, deadline).catch(thrown => {
          throw translateGrpcError(thrown, request)
        })
        return callOnce(method, resource, timeoutMs, send)
      }
      try {
        return await retry(clock, deadline, attempt)
      } catch (thrown) {
        const isOver = thrown === deadline.signal.reason && asDriftwatchError(thrown).code === 'DEADLINE_EXCEEDED'
        throw isOver ? timeoutError(request, thrown) : thrown
      }
    }

    return { call, callOnce, close: () => connection.close() }
  }
}

/** Resolves with null if the resource positively does not exist. */
export async function nullIfNotFound<T>(read: () => Promise<T>): Promise<T | null> {
  try {
    return await read()
  } catch (error) {
    if (error instanceof DriftwatchError && error.code === 'NOT_FOUND') return null
    throw error
  }
}

/** Options for one client; see `GoogleOptions`. */
export function clientOptions(
  emulatorHost: string | null,
  maxResponseBytes: number,
  credentials: GoogleCredentials | null,
  channel: grpc.ChannelCredentials = credentials ? googleChannel(credentials) : grpc.credentials.createInsecure(),
): ClientOptions {
  const colon = emulatorHost?.lastIndexOf(':') ?? 0
  return {
    'grpc.max_receive_message_length': maxResponseBytes,
    // By default clients share one connection, so that a new client would get the connection of the previous one.
    'grpc.use_local_subchannel_pool': 1,
    sslCreds: closingSilentConnections(channel),
    // The channel has the credentials. A vendor's client looks for its own only once: if that fails, it is an unhandled
    // rejection, which ends the process, and the failure is cached permanently.
    authClient: new googleAuthLibrary.PassThroughClient(),
    ...(emulatorHost !== null && {
      apiEndpoint: emulatorHost.slice(0, colon),
      port: Number(emulatorHost.slice(colon + 1)),
      projectId: 'emulator',
    }),
  }
}
