import type { Test } from 'tap'
import { type CloudRun, startCloudRun } from '../../sandbox/cloud-run.ts'
import { loadWorld, type WorldPatch } from '../../sandbox/world.ts'
import { createCloudRunClient } from '../../src/clients/cloud-run/cloud-run.ts'
import { type CloudRunReader, createCloudRunReaders } from '../../src/clients/cloud-run/cloud-run-reader.ts'
import { systemClock } from '../../src/clock.ts'
import { startDeadline } from '../../src/concurrency/deadline.ts'
import type { Service } from '../../src/release/cloud-run.ts'
import { type GrpcProxy, startGrpcProxy } from './grpc-proxy.ts'

export const place = { project: 'openagentsgemini', region: 'us-central1' }

export interface CloudRunBench {
  readonly emulator: CloudRun
  /** Between client and emulator, if `proxied`. */
  readonly proxy: GrpcProxy
  /** Opens the reader of the next cycle. */
  open(timeoutMs?: number): CloudRunReader
  /** The requests since the last call. */
  counts(): Record<string, number>
}

export async function buildCloudRun(
  t: Test,
  patch: WorldPatch = {},
  options: { maxPageSize?: number; order?: 'newest-first' | 'shuffled'; proxied?: boolean } = {},
): Promise<CloudRunBench> {
  const emulator = await startCloudRun({ world: loadWorld(patch), ...options })
  const proxy = await startGrpcProxy(() => emulator.host)
  const emulatorHost = options.proxied ? `127.0.0.1:${proxy.port}` : emulator.host
  const client = createCloudRunClient({ clock: systemClock, emulatorHost })
  t.teardown(async () => {
    await client.close()
    await proxy.close()
    await emulator.close()
  })
  const readers = createCloudRunReaders(client, systemClock)
  return {
    emulator,
    proxy,
    open: (timeoutMs = 5000) => readers.open(startDeadline(systemClock, timeoutMs)),
    counts() {
      const counts = emulator.calls.counts()
      emulator.calls.clear()
      return counts
    },
  }
}

/** Services with their jobs, all copies of the healthy ones. */
export function fleet(size: number): { patch: WorldPatch; names: string[] } {
  const names = Array.from({ length: size }, (_, index) => `app-${index}`)
  const healthy = loadWorld()
  const [service] = Object.values(healthy.services)
  const [job] = Object.values(healthy.jobs)
  const copy = (resource: object | undefined) => ({ ...resource, name: undefined })
  const without = (resource: object | undefined) => JSON.parse(JSON.stringify(copy(resource)))
  return {
    names,
    patch: {
      services: Object.fromEntries(names.map(name => [name, without(service)])),
      jobs: Object.fromEntries(names.map(name => [name, without(job)])),
    },
  }
}

export function readAll(reader: CloudRunReader, names: readonly string[]): Promise<(Service | null)[]> {
  return Promise.all(names.map(name => reader.service(place, name)))
}
