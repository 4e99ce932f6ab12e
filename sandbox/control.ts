import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { isScenarioName, type ScenarioName } from './scenarios.ts'

/** Where the sandbox whose service listens on a port says how it can be reached, so that `npm run scenario` finds it. */
function recordOf(port: string): string {
  return join(tmpdir(), `driftwatch-sandbox-${port}.json`)
}

/** What the record holds. */
interface Reach {
  readonly pid: number
  /** `http://127.0.0.1:PORT`: takes scenarios. */
  readonly control: string
  /** Where the service answers. */
  readonly service: string
}

export interface Control {
  close(): Promise<void>
}

/** Listens on 127.0.0.1 for scenarios to inject, and writes down where. */
export async function startControl(service: string, inject: (name: ScenarioName) => unknown): Promise<Control> {
  const server = createServer(async (request, response) => {
    const wanted = await json(request).catch(() => null)
    const name = typeof wanted === 'string' ? wanted : ''
    const known = request.method === 'POST' && isScenarioName(name)
    const problem = known ? await attempt(() => inject(name)) : `there is no scenario ${name}`
    response.writeHead(problem === null ? 204 : 400).end(problem)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve)
  })
  const control = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const record = recordOf(new URL(service).port)
  writeFileSync(record, JSON.stringify({ pid: process.pid, control, service } satisfies Reach))
  return {
    async close() {
      if (readReach(record)?.pid === process.pid) rmSync(record, { force: true })
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

async function attempt(work: () => unknown): Promise<string | null> {
  try {
    await work()
    return null
  } catch (error) {
    return (error as Error).message
  }
}

/**
 * Injects a scenario into the sandbox on a port: where its service answers, or null if none runs there. Rejects with what
 * the sandbox says where that could not.
 */
export async function injectIntoSandbox(name: ScenarioName, port: string): Promise<string | null> {
  const effectiveRoles = readReach(recordOf(port))
  if (effectiveRoles === null) return null
  const answer = await fetch(effectiveRoles.control, { method: 'POST', body: JSON.stringify(name) }).catch(() => null)
  if (answer?.status === 400) throw new Error(await answer.text())
  return answer?.ok ? effectiveRoles.service : null
}

function readReach(record: string): Reach | null {
  try {
    return JSON.parse(readFileSync(record, 'utf8')) as Reach
  } catch {
    return null
  }
}
