import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'

/** An address on loopback that can lead elsewhere, as a host name can. Open connections stay where they are. */
export interface Switchboard {
  /** `127.0.0.1:PORT` */
  readonly host: string
  /** Where connections lead from now on, as `host:port`. */
  lead(to: string): void
  open(): number
  /** How many connections there were in all. */
  total(): number
}

export async function startSwitchboard(t: Test, first: string): Promise<Switchboard> {
  const sockets = new Set<Socket>()
  let target = first
  let total = 0
  const server = createServer(client => {
    total += 1
    const [host, port] = target.split(':')
    const upstream = connect(Number(port), host)
    sockets.add(client)
    client.on('close', () => {
      sockets.delete(client)
      upstream.destroy()
    })
    client.on('error', () => {}).pipe(upstream)
    upstream.on('error', () => client.destroy()).pipe(client)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    lead(to) {
      target = to
    },
    open: () => sockets.size,
    total: () => total,
  }
}
