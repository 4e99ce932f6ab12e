import { readFileSync } from 'node:fs'

interface Manifest {
  readonly version: string
}

const manifest: Manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))

/** The version of Driftwatch, from package.json. */
export const version = manifest.version
