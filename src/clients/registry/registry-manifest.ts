import { createHash } from 'node:crypto'
import { DriftwatchError } from '../../errors.ts'

/** What is asked for: an index where there is one, since tags point at it. */
export const manifestTypes = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
] as const

/** More images than any index has for platforms; a longer one is not trusted. */
const maxHeld = 4096

export function isDigest(text: string): boolean {
  return /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/.test(text)
}

/** The digest of bytes, by the algorithm that another digest names. */
export function digestOfBytes(bytes: Uint8Array, algorithm: 'sha256' | 'sha512'): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`
}

export function isDigestOf(digest: string, bytes: Uint8Array): boolean {
  return digest === digestOfBytes(bytes, digest.startsWith('sha512:') ? 'sha512' : 'sha256')
}

/**
 * The digests that a manifest holds, one level deep: those of an index, none for a single image. Throws
 * `MALFORMED_RESPONSE` for what is neither, or could be read as both.
 */
export function heldDigests(bytes: Buffer): readonly string[] {
  const manifest = parseManifest(bytes)
  const isIndex = 'manifests' in manifest
  const isSingle = 'config' in manifest || 'layers' in manifest
  if (manifest.schemaVersion !== 2 || isIndex === isSingle) throw malformed('it is neither an image nor an index')
  return isIndex ? listed(manifest.manifests) : []
}

function parseManifest(bytes: Buffer): Readonly<Record<string, unknown>> {
  const value = parseJson(bytes)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed('it is no JSON object')
  return value as Readonly<Record<string, unknown>>
}

/** Null for what is no JSON. */
export function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    return null
  }
}

function listed(entries: unknown): readonly string[] {
  if (!Array.isArray(entries)) throw malformed('its list of manifests is no list')
  if (entries.length > maxHeld) throw malformed(`it lists more than ${maxHeld} images`)
  return [...new Set(entries.map(digestOfEntry))]
}

function digestOfEntry(entry: unknown): string {
  const digest = typeof entry === 'object' && entry !== null && 'digest' in entry ? entry.digest : null
  if (typeof digest !== 'string' || !isDigest(digest)) throw malformed('it lists an image without a digest')
  return digest
}

function malformed(why: string): DriftwatchError {
  return new DriftwatchError('MALFORMED_RESPONSE', `the answer is no image manifest: ${why}`)
}
