import { fork, type StdioOptions } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export const root = new URL('../', import.meta.url)

const gauge = fileURLToPath(new URL('bench/processes/gauge.js', root))

/** The resources that a process used. */
export interface Used {
  readonly wallMs: number
  /** User and system time. */
  readonly cpuMs: number
  /** Bytes. */
  readonly rss: number
  /** The longest delay of its event loop. */
  readonly longestBlockMs: number
}

/** A line of JSON on stderr. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly message: string }

/** A child process that replies to messages. It ends with this process. */
export interface Child {
  /** Sends a request. Rejects with the last output of the process if it has ended. */
  ask<Answer>(question: object): Promise<Answer>
  /** Sends a message without a reply. */
  send(message: object): void
  /** Resolves with the first line that it logs with this message. */
  logged(message: string): Promise<LogLine>
  /** Runs its work repeatedly and measures it. */
  work(times: number): Promise<Used>
  /** Measures it during work that another process requests. */
  during(something: () => Promise<unknown>): Promise<Used>
  close(): Promise<void>
}

export interface ChildOptions {
  /** Relative to the root of the repository. */
  readonly file: string
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Whether to measure it: then the gauge is preloaded. */
  readonly measured?: boolean
}

/** The environment of all child processes, without Node.js options of a coverage tool or a shell. */
export function cleanEnvironment(env: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const { NODE_OPTIONS, NODE_V8_COVERAGE, ...rest } = process.env
  return { ...rest, ...env }
}

export function startChild({ file, args = [], env = {}, measured = true }: ChildOptions): Child {
  const stdio: StdioOptions = ['ignore', 'ignore', 'pipe', 'ipc']
  const child = fork(fileURLToPath(new URL(file, root)), args, {
    env: cleanEnvironment(env),
    execArgv: measured ? ['--import', gauge] : [],
    stdio,
  })
  const lines: string[] = []
  createInterface({ input: child.stderr as NodeJS.ReadableStream }).on('line', line => {
    lines.push(line)
    child.emit('logged')
  })
  const ended = once(child, 'close')
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  const orEnd = <Value>(wanted: Promise<Value>) => Promise.race([wanted, ended.then(() => fail(file, lines))])
  const ask = async <Answer>(question: object): Promise<Answer> => {
    if (!child.connected) fail(file, lines)
    child.send(question)
    const [answer] = await orEnd(once(child, 'message'))
    return answer as Answer
  }
  return {
    ask,
    send: message => void child.send(message),
    async logged(message) {
      for (;;) {
        const found = lines.map(toLogLine).find(line => line?.message === message)
        if (found) return found
        await orEnd(once(child, 'logged'))
      }
    },
    work: times => ask<Used>({ ask: 'work', times }),
    async during(something) {
      await ask({ ask: 'begin' })
      await something()
      return ask<Used>({ ask: 'end' })
    },
    async close() {
      // It has no data to save.
      kill()
      await ended
      process.removeListener('exit', kill)
    },
  }
}

function toLogLine(line: string): LogLine | null {
  return line.startsWith('{') ? (JSON.parse(line) as LogLine) : null
}

function fail(file: string, lines: readonly string[]): never {
  throw new Error(`${file} ended:\n${lines.slice(-20).join('\n')}`)
}
