import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { isScenarioName, type ScenarioName } from './scenarios.ts'

/** The file in which the sandbox of a port records its addresses, so that `npm run scenario` finds it. */
function recordOf(port: string): string {
  return join(tmpdir(), `driftwatch-sandbox-${port}.json`)
}

interface Addresses {
  readonly pid: number
  /** Receives scenarios: `http://127.0.0.1:PORT`. */
  readonly control: string
  readonly service: string
}

export interface Control {
  close(): Promise<void>
}

/** Listens on 127.0.0.1 for scenarios to inject, and records its address. */
export async function startControl(service: string, inject: (name: ScenarioName) => unknown): Promise<Control> {
  const server = createServer(async (request, response) => {
    const body = await json(request).catch(() => null)
    const name = typeof body === 'string' ? body : ''
    const known = request.method === 'POST' && isScenarioName(name)
    const problem = known ? await attempt(() => inject(name)) : `unknown scenario ${JSON.stringify(name)}`
    response.writeHead(problem === null ? 204 : 400).end(problem)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve)
  })
  const control = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const record = recordOf(new URL(service).port)
  writeFileSync(record, JSON.stringify({ pid: process.pid, control, service } satisfies Addresses))
  return {
    async close() {
      if (readAddresses(record)?.pid === process.pid) rmSync(record, { force: true })
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
 * Injects a scenario into the sandbox on a port. Resolves with the URL of its service, or null if no sandbox runs on that
 * port; rejects with the sandbox's own error if the injection failed.
 */
export async function injectIntoSandbox(name: ScenarioName, port: string): Promise<string | null> {
  const addresses = readAddresses(recordOf(port))
  if (addresses === null) return null
  const response = await fetch(addresses.control, { method: 'POST', body: JSON.stringify(name) }).catch(() => null)
  if (response?.status === 400) throw new Error(await response.text())
  return response?.ok ? addresses.service : null
}

function readAddresses(record: string): Addresses | null {
  try {
    return JSON.parse(readFileSync(record, 'utf8')) as Addresses
  } catch {
    return null
  }
}
