#!/usr/bin/env -S node --max-semi-space-size=4 --heap-growing-percent=20
import { enableCompileCache } from 'node:module'
import { join } from 'node:path'
import { systemClock } from './clock.ts'

// Compiled once for each installation; where nothing can be written there, as always.
enableCompileCache(join(import.meta.dirname, '../node_modules/.cache/driftwatch'))

const ending = new AbortController()
const endingAtOnce = new AbortController()

/** npm and some shells hand on the very Ctrl-C that the terminal has sent to everybody already. */
const oneKeyPressMs = 200
let askedAt = Number.POSITIVE_INFINITY

/** The first signal asks the command to end; the next ends the process, as soon as the command has said what stands. */
function onSignal(signal: 'SIGINT' | 'SIGTERM'): void {
  const now = systemClock.monotonic()
  if (!ending.signal.aborted) {
    askedAt = now
    ending.abort()
  } else if (now - askedAt >= oneKeyPressMs) {
    endingAtOnce.abort()
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  }
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, onSignal)

// Loaded only now: whoever asks it to end while it starts is heard.
const { runCli } = await import('./cli/cli.ts')
process.exitCode = await runCli(process.argv.slice(2), {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  clock: systemClock,
  nodeVersion: process.version,
  signal: ending.signal,
  onHangup(listener) {
    process.on('SIGHUP', listener)
    return () => process.off('SIGHUP', listener)
  },
  atOnce: endingAtOnce.signal,
})

/** A library may wait for an answer that nobody needs any more: the metadata server's, for one. */
const lingerMs = 500
systemClock.after(lingerMs, () => process.stdout.write('', () => process.exit()))
