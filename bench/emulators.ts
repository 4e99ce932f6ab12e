import { startCloudRun } from '../sandbox/cloud-run.ts'
import { buildFleet } from '../sandbox/fleet.ts'
import type { JsonObject } from '../sandbox/merge-patch.ts'
import { loadWorld } from '../sandbox/world.ts'

/** What the emulators can be asked. */
export interface EmulatorQuestions {
  /** Where it listens, as `host:port`. */
  host: string
  /** How many requests there were since this was asked last. */
  calls: number
}

/**
 * The emulators with a fleet in them, as a process of their own, so that what they cost is nobody's else. Arguments: how
 * many stacks, and how long each answer takes in milliseconds.
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
