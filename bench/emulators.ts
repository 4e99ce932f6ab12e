import { startCloudRun } from '../sandbox/cloud-run.ts'
import { buildFleet } from '../sandbox/fleet.ts'
import type { JsonObject } from '../sandbox/merge-patch.ts'
import { loadWorld } from '../sandbox/world.ts'

/** Requests to the emulators. */
export interface EmulatorQuestions {
  /** The address, as `host:port`. */
  host: string
  /** The number of requests since the last call. */
  calls: number
}

/**
 * Runs the emulators with a fleet in a separate process, so that their cost is not measured. Arguments: the number of
 * stacks, and the latency of each response in milliseconds.
 */
async function main(): Promise<void> {
  const [size = 1, latencyMs = 0] = process.argv.slice(2).map(Number)
  const { names, patch } = buildFleet(size)
  const since = Date.now()
  const faults = latencyMs > 0 ? [{ latencyMs }] : []
  const changed = (count: number, round: number): JsonObject =>
    Object.fromEntries(names.slice(0, count).map(name => [name, { labels: { round: String(round) } }]))
  const worldOf = (services: JsonObject) =>
    loadWorld({ ...patch, services: mergeServices(patch.services as JsonObject, services), faults }, since, since)
  const cloudRun = await startCloudRun({ world: worldOf({}) })
  let rounds = 0
  process.on('message', (question: { ask: 'host' | 'calls' | 'change'; count?: number }) => {
    if (question.ask === 'host') return process.send?.(cloudRun.host)
    if (question.ask === 'change') {
      rounds += 1
      cloudRun.setWorld(worldOf(changed(question.count ?? 0, rounds)))
      return process.send?.(true)
    }
    const counts = Object.values(cloudRun.calls.counts())
    cloudRun.calls.clear()
    process.send?.(counts.reduce((sum, count) => sum + count, 0))
  })
  process.once('disconnect', () => cloudRun.close())
}

function mergeServices(services: JsonObject, changes: JsonObject): JsonObject {
  const changed = Object.entries(changes).map(([name, change]) => [
    name,
    { ...(services[name] as JsonObject), ...(change as JsonObject) },
  ])
  return { ...services, ...Object.fromEntries(changed) }
}

await main()
