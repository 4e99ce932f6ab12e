import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { cleanEnvironment, root } from './child.ts'

/** The resources that a process used from start to end. */
export interface WholeProcess {
  readonly wallMs: number
  readonly cpuMs: number
}

const gauge = fileURLToPath(new URL('bench/processes/gauge.js', root))
const usageFd = 3

/** Runs a script of the repository. Rejects if it fails. */
export async function runProcess(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<WholeProcess> {
  const begin = performance.now()
  const child = spawn(process.execPath, ['--import', gauge, ...args], {
    cwd: fileURLToPath(root),
    env: cleanEnvironment({ ...env, BENCH_USAGE_FD: `${usageFd}` }),
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
  })
  const [[code], words, usage] = await Promise.all([
    once(child, 'close'),
    text(child.stderr as NodeJS.ReadableStream),
    text(child.stdio[usageFd] as NodeJS.ReadableStream),
  ])
  const wallMs = performance.now() - begin
  if (code !== 0) throw new Error(`${args.join(' ')} exited with code ${code}: ${words}`)
  return { wallMs, cpuMs: (JSON.parse(usage) as { cpuMs: number }).cpuMs }
}

/** The time from the start of `driftwatch serve` until `/health/ready` reports ready. */
export async function startToReady(config: string, env: Readonly<Record<string, string>>): Promise<number> {
  const begin = performance.now()
  const child = spawn(process.execPath, ['dist/main.js', 'serve', '--config', config], {
    cwd: fileURLToPath(root),
    env: cleanEnvironment(env),
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  try {
    let port: number | null = null
    for await (const line of createInterface({ input: child.stderr })) {
      const { message, port: told } = JSON.parse(line) as { message: string; port?: number }
      if (message === 'listening') port = told ?? null
      if (message === 'cycle completed') break
    }
    const answer = await fetch(`http://127.0.0.1:${port}/health/ready`)
    if (!answer.ok) throw new Error(`not ready after its first cycle: ${await answer.text()}`)
    return performance.now() - begin
  } finally {
    child.kill('SIGKILL')
    await once(child, 'close')
  }
}
