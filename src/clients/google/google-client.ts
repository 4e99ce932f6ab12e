import { type ClientOptions, googleAuthLibrary, grpc } from 'google-gax'
import type { Clock } from '../../clock.ts'
import type { Deadline } from '../../concurrency/deadline.ts'
import { retry } from '../../concurrency/retry.ts'
import { asDriftwatchError, type ErrorCode } from '../../errors.ts'
import type { CallBudget } from './call-budget.ts'
import type { GoogleCredentials } from './google-credentials.ts'
import { translateGrpcError } from './grpc-errors.ts'

/** What every request to a client of Google's is given: the clients' own retries overrun the deadline. */
export interface CallOptions {
  readonly timeout: number
  readonly retry: null
}

/** Makes a request until it succeeds or the deadline is reached, and tells of each attempt. */
export type Caller = <T>(
  method: string,
  resource: string,
  deadline: Deadline,
  call: (options: CallOptions) => Promise<T>,
) => Promise<T>

export interface CallerOptions {
  /** The system as errors name it: `Cloud Run`. */
  readonly system: string
  readonly clock: Clock
  /** Looked for before each request, so that without them nothing is sent; null for an emulator. */
  readonly credentials: GoogleCredentials | null
  /** Gives leave to each request; left out, all may be made. */
  readonly budget?: CallBudget | undefined
  /** Told of every request: `method` as `GetService`, `code` as `OK` or one of our error codes. */
  readonly onRequest?: ((method: string, code: 'OK' | ErrorCode) => void) | undefined
}

export function createCaller({ system, clock, credentials, budget, onRequest = () => {} }: CallerOptions): Caller {
  return (method, resource, deadline, call) =>
    retry(clock, deadline, async timeout => {
      const where = `${system} ${method} ${resource}`
      await budget?.take(resource, deadline).catch(thrown => {
        // Nothing was asked: it counts as no request.
        throw translateGrpcError(thrown, where)
      })
      try {
        await credentials?.requestHeaders()
        const answer = await call({ timeout, retry: null })
        onRequest(method, 'OK')
        return answer
      } catch (thrown) {
        const error = translateGrpcError(thrown, where)
        onRequest(method, error.code)
        throw error
      }
    })
}

/**
 * Options for one of Google's clients, new ones for each, since it changes them. `emulatorHost` is `host:port`, reached
 * without TLS, unless `channel` says how, and without credentials; null is Google Cloud.
 */
export function clientOptions(
  emulatorHost: string | null,
  longestAnswerBytes: number,
  credentials: GoogleCredentials | null,
  channel: grpc.ChannelCredentials = grpc.credentials.createInsecure(),
): ClientOptions {
  // Clients would share one connection, and a new client be given the old one's.
  const limits = { 'grpc.max_receive_message_length': longestAnswerBytes, 'grpc.use_local_subchannel_pool': 1 }
  if (emulatorHost === null) return { ...limits, ...(credentials && { authClient: new LateCredentials(credentials) }) }
  const colon = emulatorHost.lastIndexOf(':')
  return {
    ...limits,
    apiEndpoint: emulatorHost.slice(0, colon),
    port: Number(emulatorHost.slice(colon + 1)),
    sslCreds: channel,
    // Without one the client looks for credentials although it needs none.
    authClient: new googleAuthLibrary.PassThroughClient(),
    projectId: 'emulator',
  }
}

/**
 * Credentials that are looked for at each request. A client that looks for its own does so once: a lookup that fails is
 * an unhandled rejection, which ends the process, and is kept for ever.
 */
class LateCredentials extends googleAuthLibrary.PassThroughClient {
  readonly #credentials: GoogleCredentials

  constructor(credentials: GoogleCredentials) {
    super()
    this.#credentials = credentials
  }

  override async getRequestHeaders(url?: string | URL): Promise<Headers> {
    try {
      return await this.#credentials.requestHeaders(url)
    } catch (thrown) {
      const { code, message } = asDriftwatchError(thrown)
      // gRPC takes the number for the status of the call.
      const status = code === 'UNAVAILABLE' ? grpc.status.UNAVAILABLE : grpc.status.UNAUTHENTICATED
      throw Object.assign(new Error(message), { code: status })
    }
  }
}
