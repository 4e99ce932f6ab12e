import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import { createServer } from 'node:tls'
import { grpc } from 'google-gax'
import type { Test } from 'tap'
import { makeCertificate } from './certificate.ts'

/** TLS in front of an emulator, on loopback. */
export interface TlsEndpoint {
  /** `localhost:PORT` */
  readonly host: string
  /** Without its authority, so that the certificate is not trusted. */
  readonly untrusted: grpc.ChannelCredentials
  /** With its authority, and with or without an access token. */
  trusted(token?: string): grpc.ChannelCredentials
}

/** Closed at the end of the test; `host` is the address of the emulator. */
export async function startTlsEndpoint(t: Test, host: string): Promise<TlsEndpoint> {
  const { ca, key, cert } = await makeCertificate(t.testdir())
  const [, port = ''] = host.split(':')
  const endpoint = createServer({ key, cert, ALPNProtocols: ['h2'] }, encrypted => {
    const plain = connect(Number(port), '127.0.0.1')
    plain.on('error', () => encrypted.destroy())
    encrypted.on('error', () => plain.destroy())
    plain.pipe(encrypted).pipe(plain)
  }).listen(0, 'localhost')
  await once(endpoint, 'listening')
  t.teardown(() => void endpoint.close())
  return {
    host: `localhost:${(endpoint.address() as AddressInfo).port}`,
    untrusted: grpc.credentials.createSsl(),
    trusted(token) {
      const channel = grpc.credentials.createSsl(Buffer.from(ca))
      return token === undefined ? channel : grpc.credentials.combineChannelCredentials(channel, bearer(token))
    },
  }
}

function bearer(token: string): grpc.CallCredentials {
  return grpc.credentials.createFromMetadataGenerator((_, done) => {
    const metadata = new grpc.Metadata()
    metadata.set('authorization', `Bearer ${token}`)
    done(null, metadata)
  })
}
