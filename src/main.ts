#!/usr/bin/env -S node --max-semi-space-size=4 --heap-growing-percent=20
import { runCli } from './cli/cli.ts'
import { systemClock } from './clock.ts'

const ending = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => ending.abort())

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
})
