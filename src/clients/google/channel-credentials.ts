import type { Socket } from 'node:net'
import { grpc } from 'google-gax'
import { asDriftwatchError } from '../../errors.ts'
import type { GoogleCredentials } from './google-credentials.ts'

/** TLS, with an access token for each request. */
export function googleChannel(credentials: GoogleCredentials): grpc.ChannelCredentials {
  return grpc.credentials.combineChannelCredentials(grpc.credentials.createSsl(), accessTokens(credentials))
}

function accessTokens(credentials: GoogleCredentials): grpc.CallCredentials {
  return grpc.credentials.createFromMetadataGenerator(({ service_url: url }, done) => {
    credentials.requestHeaders(url).then(
      headers => done(null, toMetadata(headers)),
      thrown => done(toGrpcError(thrown)),
    )
  })
}

function toMetadata(headers: Headers): grpc.Metadata {
  const metadata = new grpc.Metadata()
  headers.forEach((value, name) => {
    metadata.set(name, value)
  })
  return metadata
}

function toGrpcError(thrown: unknown): Error {
  const { code, message } = asDriftwatchError(thrown)
  // gRPC uses this number as the status of the call.
  const status = code === 'UNAVAILABLE' ? grpc.status.UNAVAILABLE : grpc.status.UNAUTHENTICATED
  return Object.assign(new Error(message), { code: status })
}

/** The shortest HTTP/2 frame. A server sends one, its settings, as soon as it is connected. */
const minFrameBytes = 9

/**
 * Closes a connection whose server has sent no settings when its channel is closed: grpc-js would never close it. The
 * connector is the only place where grpc-js lets a connection be seen.
 */
export function closingSilentConnections(channel: grpc.ChannelCredentials): grpc.ChannelCredentials {
  const credentials: grpc.ChannelCredentials = Object.create(channel)
  credentials._createSecureConnector = (...args) => {
    const connector = channel._createSecureConnector(...args)
    /** The socket over which frames arrive; null during the TLS handshake. */
    const connections = new Map<Socket, Socket | null>()
    let isDestroyed = false
    return {
      waitForReady: () => connector.waitForReady(),
      getCallCredentials: () => connector.getCallCredentials(),
      async connect(socket) {
        if (isDestroyed) throw new Error('the channel was closed')
        connections.set(
          socket.once('close', () => connections.delete(socket)),
          null,
        )
        const connected = await connector.connect(socket)
        if (connections.has(socket)) connections.set(socket, connected.socket)
        return connected
      },
      destroy() {
        isDestroyed = true
        connector.destroy()
        for (const [socket, frames] of connections) if (frames === null || isSilent(frames)) socket.destroy()
      },
    }
  }
  return credentials
}

function isSilent({ bytesRead }: Socket): boolean {
  return bytesRead < minFrameBytes
}
