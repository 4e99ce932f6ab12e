import { fork, type StdioOptions } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export const root = new URL('../', import.meta.url)

const gauge = fileURLToPath(new URL('bench/processes/gauge.js', root))

/** What a process used for its work. */
export interface Used {
  readonly wallMs: number
  /** Of user and system together. */
  readonly cpuMs: number
  /** Bytes. */
  readonly rss: number
  /** The longest that its event loop was held up. */
  readonly longestBlockMs: number
}

/** A line of JSON on stderr. */
export type LogLine = Readonly<Record<string, unknown>> & { readonly message: string }

/** A process of its own that answers questions. It does not outlive this one. */
export interface Child {
  /** Rejects where it has ended, with its own last words. */
  ask<Answer>(question: object): Promise<Answer>
  /** Tells it something that it does not answer. */
  tell(message: object): void
  /** Resolves with the first line that it logs with this message. */
  logged(message: string): Promise<LogLine>
  /** Does its work so many times. */
  work(times: number): Promise<Used>
  /** What it uses for something that is asked of it from elsewhere. */
  during(something: () => Promise<unknown>): Promise<Used>
  close(): Promise<void>
}

export interface ChildOptions {
  /** From the top of the repository. */
  readonly file: string
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Whether its cost counts: then the gauge is loaded before it. */
  readonly measured?: boolean
}

/** The environment of every process here: without what a coverage tool or a developer's shell adds to Node.js. */
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
    tell: message => void child.send(message),
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
      // There is nothing to be saved.
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
