import { enableCompileCache } from 'node:module'
import { join } from 'node:path'
import { systemClock } from './clock.ts'

// Caches compiled code on disk; has no effect if the directory is not writable.
enableCompileCache(join(import.meta.dirname, '../node_modules/.cache/driftwatch'))

/** npm and some shells forward a Ctrl-C that the process has already received from the terminal. */
const duplicateSignalMs = 200

type EndSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP'

/** `serve` reloads its configuration on SIGHUP. For other commands it means that the terminal was closed. */
const endSignals: readonly EndSignal[] =
  process.argv[2] === 'serve' ? ['SIGINT', 'SIGTERM'] : ['SIGINT', 'SIGTERM', 'SIGHUP']

/**
 * The first signal aborts `signal`, which asks the command to end. The next one aborts `immediate`, and kills the process
 * as soon as the command has reported the changes made so far.
 */
function watchSignals(): { readonly signal: AbortSignal; readonly immediate: AbortSignal } {
  const [first, second] = [new AbortController(), new AbortController()]
  let firstAt = Number.POSITIVE_INFINITY
  const onSignal = (signal: EndSignal) => {
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
  for (const signal of endSignals) process.on(signal, onSignal)
  return { signal: first.signal, immediate: second.signal }
}

/** A SIGHUP that arrives before there is a listener is delivered to the first one. */
function watchHangups(): (listener: () => void) => () => void {
  let missed = false
  const onMissed = () => {
    missed = true
  }
  process.on('SIGHUP', onMissed)
  return listener => {
    process.on('SIGHUP', listener)
    process.off('SIGHUP', onMissed)
    if (missed) listener()
    return () => {
      process.on('SIGHUP', () => {})
      process.off('SIGHUP', listener)
    }
  }
}

/**
 * A reader that has closed its pipe does not end the command. Any other error loses a part of the output, so the exit
 * code is not 0.
 */
function surviveClosedOutput(): void {
  let isLost = false
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', (error: NodeJS.ErrnoException) => {
      isLost ||= error.code !== 'EPIPE' && error.code !== 'ERR_STREAM_DESTROYED'
    })
  process.on('exit', () => {
    if (isLost) process.exitCode ||= 1
  })
}

surviveClosedOutput()
const onHangup = watchHangups()
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
  onHangup,
})

/** Libraries may still wait for responses that are no longer needed, such as those of the metadata server. */
const lingerMs = 500
systemClock.after(lingerMs, () => process.stdout.write('', () => process.exit()))
