import { statSync } from 'node:fs'
import type { Clock, EpochMs } from '../clock.ts'
import { asDriftwatchError, type ErrorCode } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Config } from './config.ts'
import { type ConfigOrigin, parseConfig, readText } from './load.ts'

/** When the current config was loaded, and why a newer file was rejected. */
export interface ConfigState {
  readonly loadedAt: EpochMs
  /** Null if the file is in use. */
  readonly error: { readonly code: ErrorCode; readonly message: string; readonly at: EpochMs } | null
  /** Changed keys that take effect only after a restart. */
  readonly needRestart: readonly string[]
}

/** The owner of the current config. */
export interface ConfigSource {
  current(): Config
  state(): ConfigState
  /** Reads the file again. Keeps the previous config if the file is invalid. Never throws. */
  reload(): void
  /** Reads the file again whenever it changes. Returns a function that stops this. */
  follow(): () => void
}

interface ConfigSourceOptions extends ConfigOrigin {
  readonly clock: Clock
  readonly log: Log
  /** Called after each reload. */
  onRead(): void
}

/** The interval for checking the file's status: mounted volumes send no change events. */
const pollMs = 2000

/** The keys that `serve` reads only at startup. */
const fixedKeys = ['host', 'alerts'] as const satisfies readonly (keyof Config)[]

/** Throws like `loadConfig` if the first load fails. */
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
      if (changed) log.info({ stacks: config.stacks.length, needRestart }, 'configuration reloaded')
    } catch (thrown) {
      const { code, message } = asDriftwatchError(thrown)
      state = { ...state, error: { code, message, at } }
      log.warn({ code, error: message }, 'configuration rejected; keeping the previous one')
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
      /** Waits until the file is unchanged for one interval, because it may still be being written. */
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

/** A text that changes with the file, and with the target of a symbolic link. */
function stampOf(file: string): string {
  try {
    const { dev, ino, mtimeMs, size } = statSync(file)
    return [dev, ino, mtimeMs, size].join()
  } catch (error) {
    return String(error)
  }
}
