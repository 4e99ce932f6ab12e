import { statSync } from 'node:fs'
import type { Clock, EpochMs } from '../clock.ts'
import { asDriftwatchError, type ErrorCode } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Config } from './config.ts'
import type { Environment } from './environment.ts'
import { parseConfig, readText } from './load.ts'

/** How the config stands: when what counts was read, and why a newer file does not count. */
export interface ConfigState {
  readonly loadedAt: EpochMs
  /** Null where the file is what counts. */
  readonly error: { readonly code: ErrorCode; readonly message: string; readonly at: EpochMs } | null
  /** Keys of the file that count only after a restart, since they have changed. */
  readonly needRestart: readonly string[]
}

/** The one owner of the config that counts. */
export interface ConfigSource {
  current(): Config
  state(): ConfigState
  /** Reads the file again. What is broken is refused as a whole, and the config stays what it was. Never throws. */
  reload(): void
  /** Reads the file again whenever it changes, until what is returned is called. */
  follow(): () => void
}

export interface ConfigSourceOptions {
  readonly file: string
  readonly environment: Pick<Environment, 'variables'>
  readonly clock: Clock
  readonly log: Log
  /** Told after each reading. */
  onRead(): void
}

/** So often it is looked whether the file has changed: by its status, since mounted volumes tell nobody. */
const pollMs = 2000

/** What `serve` takes from the config once. */
const fixedKeys = ['host', 'alerts'] as const satisfies readonly (keyof Config)[]

/** Throws as `loadConfig` does where the first reading fails. */
export function createConfigSource({ file, environment, clock, log, onRead }: ConfigSourceOptions): ConfigSource {
  let text = readText(file)
  let config = parseConfig(text, file, environment.variables)
  const first = config
  let state: ConfigState = { loadedAt: clock.now(), error: null, needRestart: [] }

  function read(): void {
    const at = clock.now()
    try {
      const next = readText(file)
      const changed = next !== text
      if (changed) config = parseConfig(next, file, environment.variables)
      text = next
      const needRestart = fixedKeys.filter(key => JSON.stringify(config[key]) !== JSON.stringify(first[key]))
      state = { loadedAt: changed ? at : state.loadedAt, error: null, needRestart }
      if (changed) log.info({ stacks: config.stacks.length, needRestart }, 'the config was read again')
    } catch (thrown) {
      const { code, message } = asDriftwatchError(thrown)
      state = { ...state, error: { code, message, at } }
      log.warn({ code, error: message }, 'the config was refused: what was before still counts')
    }
  }

  const source = {
    current: () => config,
    state: () => state,
    reload() {
      read()
      onRead()
    },
    follow() {
      let seen = stampOf(file)
      let pending = seen
      let cancel = clock.after(pollMs, poll)
      /** A file that is being written is left until it stays as it is from one look to the next. */
      function poll(): void {
        const now = stampOf(file)
        if (now !== seen && now === pending) {
          seen = now
          source.reload()
        }
        pending = now
        cancel = clock.after(pollMs, poll)
      }
      return () => cancel()
    },
  }
  return source
}

/** Changes with the file, also where a link leads to another one. */
function stampOf(file: string): string {
  try {
    const { dev, ino, mtimeMs, size } = statSync(file)
    return [dev, ino, mtimeMs, size].join()
  } catch (error) {
    return String(error)
  }
}
