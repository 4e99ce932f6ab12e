#!/usr/bin/env -S node --max-semi-space-size=4 --heap-growing-percent=20
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'
import { systemClock } from './clock.ts'

// Caches compiled code on disk; has no effect if the directory is not writable.
enableCompileCache(join(import.meta.dirname, '../node_modules/.cache/driftwatch'))

/** npm and some shells forward a Ctrl-C that the process has already received from the terminal. */
const duplicateSignalMs = 200

/**
 * The first signal aborts `signal`, which asks the command to end. The next one aborts `immediate`, and kills the process
 * as soon as the command has reported the changes made so far.
 */
function watchSignals(): { readonly signal: AbortSignal; readonly immediate: AbortSignal } {
  const [first, second] = [new AbortController(), new AbortController()]
  let firstAt = Number.POSITIVE_INFINITY
  const onSignal = (signal: 'SIGINT' | 'SIGTERM') => {
    const now = systemClock.monotonic()
    if (!first.signal.aborted) {
      firstAt = now
      first.abort()
    } else if (now - firstAt >= duplicateSignalMs) {
      second.abort()
      process.removeAllListeners(signal)
      process.kill(process.pid, signal)
    }
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, onSignal)
  return { signal: first.signal, immediate: second.signal }
}

const signals = watchSignals()
// Imported after the signal handlers are installed, so that a signal during startup is handled.
const { runCli } = await import('./cli/cli.ts')
process.exitCode = await runCli(process.argv.slice(2), {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  clock: systemClock,
  nodeVersion: process.version,
  ...signals,
  onHangup(listener) {
    process.on('SIGHUP', listener)
    return () => process.off('SIGHUP', listener)
  },
})

/** Libraries may still wait for responses that are no longer needed, such as those of the metadata server. */
const lingerMs = 500
systemClock.after(lingerMs, () => process.stdout.write('', () => process.exit()))
