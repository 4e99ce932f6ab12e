/** What is shipped and under which licence, from the packages as they are installed. Part of `npm run docs`. */
import { readFileSync } from 'node:fs'

/** Licences that ask for no more than to be named. */
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
  /** As an SPDX expression, as the package says it. */
  readonly license: string
  /** Of the archive that the lock file demands, in hexadecimal digits. */
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

/** Every package of an installation without those for development: what the image holds. */
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

Driftwatch is under the [Apache License 2.0](../LICENSE). The image holds these ${packages.length} packages beside it; each brings the
text of its own licence. \`npm run docs\` writes this list, and a test refuses a licence that asks for more than to be
named. \`npm run sbom\` prints the same as a bill of materials (CycloneDX).

| package | version | licence |
|---|---|---|
${rows.join('\n')}
`
}

/** Whether an SPDX expression can be met by licences that are allowed. One with brackets inside is read by a person. */
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
