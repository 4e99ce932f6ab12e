#!/usr/bin/env -S node --max-semi-space-size=4 --heap-growing-percent=20
// Older versions of Node.js must be able to run this file: it imports nothing statically, and has no types.
const needed = 24

if (Number.parseInt(process.versions.node, 10) < needed) {
  process.stderr.write(
    `driftwatch: Node.js ${needed} or later is required, but this is Node.js ${process.versions.node}. Install a newer version, or run the container image.\n`,
  )
  process.exitCode = 1
} else {
  await import('./start.ts')
}
