/** Shipped packages and their licences, read from the installed packages. Part of `npm run docs`. */
import { readFileSync } from 'node:fs'

/** Licences that require only attribution. */
export const allowedLicenses = [
  '0BSD',
  'Apache-2.0',
  'BlueOak-1.0.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  'ISC',
  'MIT',
  'Python-2.0',
  'Unlicense',
] as const

export interface ShippedPackage {
  readonly name: string
  readonly version: string
  /** The SPDX expression of the package. */
  readonly license: string
  /** Hexadecimal digest of the archive in the lock file. */
  readonly sha512: string
}

interface LockedPackage {
  readonly version?: string
  readonly integrity?: string
  readonly dev?: boolean
  readonly optional?: boolean
  readonly devOptional?: boolean
}

const root = new URL('../', import.meta.url)

/** The packages of a production installation, which are those in the image. */
export function shippedPackages(): ShippedPackage[] {
  const lock: { packages: Record<string, LockedPackage> } = readJson('package-lock.json')
  const places = Object.entries(lock.packages).filter(([place, { dev, optional, devOptional }]) => {
    return place !== '' && !dev && !optional && !devOptional
  })
  const packages = places.map(([place, { version = '', integrity = '' }]) => {
    const name = place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length)
    const sha512 = Buffer.from(integrity.replace('sha512-', ''), 'base64').toString('hex')
    return { name, version, license: licenseOf(readJson(`${place}/package.json`)), sha512 }
  })
  const unique = new Map(packages.map(each => [`${each.name}@${each.version}`, each]))
  return [...unique.values()].sort((one, other) =>
    `${one.name} ${one.version}` < `${other.name} ${other.version}` ? -1 : 1,
  )
}

/** docs/licenses.md. */
export function licensesPage(): string {
  const packages = shippedPackages()
  const rows = packages.map(({ name, version, license }) => `| \`${name}\` | ${version} | ${license} |`)
  return `# Licences

Driftwatch is licensed under the [Apache License 2.0](../LICENSE). The image also contains these ${packages.length} packages, each with the
text of its own licence. \`npm run docs\` generates this list, and a test rejects licences that require more than
attribution. \`npm run sbom\` prints the list as a bill of materials (CycloneDX).

| package | version | licence |
|---|---|---|
${rows.join('\n')}
`
}

/** Whether allowed licences satisfy an SPDX expression. Nested parentheses are not parsed and need a manual review. */
export function isAllowed(expression: string): boolean {
  const allowed: readonly string[] = allowedLicenses
  return expression
    .replace(/^\((.*)\)$/, '$1')
    .split(' OR ')
    .some(choice => choice.split(' AND ').every(license => allowed.includes(license)))
}

function licenseOf({ license }: { license?: unknown }): string {
  if (typeof license === 'string') return license
  return String((license as { type?: unknown } | undefined)?.type ?? 'unknown')
}

function readJson<Value>(path: string): Value {
  return JSON.parse(readFileSync(new URL(path, root), 'utf8'))
}
