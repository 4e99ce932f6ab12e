import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

export interface ServiceOptions {
  readonly port: number
  /** The configuration file; default sandbox/driftwatch.yaml. */
  readonly config?: string | undefined
  /** Added to the environment of this process. */
  readonly env: Readonly<Record<string, string>>
  /** Gets every line that the service writes to its log. */
  readonly onLog: (line: string) => void
  /** Aborts the start. */
  readonly signal?: AbortSignal | undefined
}

/** The real service in a separate process. */
export interface ServiceProcess {
  readonly url: string
  readonly pid: number
  /** Resolves when the process has ended, with the reason in words. */
  readonly ended: Promise<string>
  /** Sends SIGTERM, and SIGKILL if the process does not end. */
  stop(): Promise<void>
}

/** Starts `driftwatch serve` and waits until it is ready. Rejects with its last output if it ends before that. */
export async function startService(options: ServiceOptions): Promise<ServiceProcess> {
  const { port, config = 'sandbox/driftwatch.yaml', env, onLog, signal } = options
  const child = spawn(process.execPath, ['src/main.ts', 'serve', '--config', config], {
    cwd: root,
    env: { ...process.env, ...env, PORT: String(port) },
    stdio: ['ignore', 'pipe', 'pipe'],
    // In a process group of its own, so that Ctrl-C does not reach it and the sandbox stops it in order.
    detached: true,
  })
  const killAtExit = () => child.kill('SIGKILL')
  process.once('exit', killAtExit)
  const output: string[] = []
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', line => {
      output.push(line)
      if (output.length > 20) output.shift()
      onLog(line)
    })
  }
  const ended = endOf(child).finally(() => process.removeListener('exit', killAtExit))
  const service = { url: `http://127.0.0.1:${port}`, pid: child.pid ?? 0, ended, stop: () => stop(child, ended) }
  try {
    await ready(service, signal)
  } catch (error) {
    await service.stop()
    throw new Error([`${(error as Error).message}`, ...output].join('\n'))
  }
  return service
}

async function endOf(child: ChildProcess): Promise<string> {
  const [code, signal] = await Promise.race([
    once(child, 'close'),
    once(child, 'error').then(([error]) => [error, null]),
  ])
  return signal === null ? `the service exited with code ${code}` : `the service was terminated by ${signal}`
}

async function ready({ url, ended }: Pick<ServiceProcess, 'url' | 'ended'>, signal?: AbortSignal): Promise<void> {
  let end: string | null = null
  void ended.then(how => {
    end = how
  })
  for (let tries = 0; tries < 600; tries++) {
    signal?.throwIfAborted()
    if (end !== null) throw new Error(end)
    const response = await fetch(`${url}/health/ready`).catch(() => null)
    await response?.body?.cancel()
    if (response?.ok) return
    await delay(50)
  }
  throw new Error('the service was not ready after 30 s')
}

async function stop(child: ChildProcess, ended: Promise<unknown>): Promise<void> {
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 12_000)
  await ended
  clearTimeout(timer)
}
