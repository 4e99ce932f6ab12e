import { createHash } from 'node:crypto'
import { DriftwatchError } from '../../errors.ts'

/** The accepted media types, indexes first, because tags point at an index if there is one. */
export const manifestTypes = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
] as const

/** More than any index has platforms. A longer index is rejected. */
const maxDigests = 4096

export function isDigest(text: string): boolean {
  return /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/.test(text)
}

export function digestOfBytes(bytes: Uint8Array, algorithm: 'sha256' | 'sha512'): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`
}

export function isDigestOf(digest: string, bytes: Uint8Array): boolean {
  return digest === digestOfBytes(bytes, digest.startsWith('sha512:') ? 'sha512' : 'sha256')
}

/** The digests that an index lists, one level deep; empty for a single image. Throws `MALFORMED_RESPONSE`. */
export function heldDigests(bytes: Buffer): readonly string[] {
  const manifest = parseManifest(bytes)
  const isIndex = 'manifests' in manifest
  const isSingle = 'config' in manifest || 'layers' in manifest
  if (manifest.schemaVersion !== 2 || isIndex === isSingle) throw malformed('neither an image nor an index')
  return isIndex ? listed(manifest.manifests) : []
}

function parseManifest(bytes: Buffer): Readonly<Record<string, unknown>> {
  const value = parseJson(bytes)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed('not a JSON object')
  return value as Readonly<Record<string, unknown>>
}

/** Null if the bytes are not JSON. */
export function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch {
    return null
  }
}

function listed(entries: unknown): readonly string[] {
  if (!Array.isArray(entries)) throw malformed('the list of manifests is not an array')
  if (entries.length > maxDigests) throw malformed(`more than ${maxDigests} images`)
  return [...new Set(entries.map(digestOfEntry))]
}

function digestOfEntry(entry: unknown): string {
  const digest = typeof entry === 'object' && entry !== null && 'digest' in entry ? entry.digest : null
  if (typeof digest !== 'string' || !isDigest(digest)) throw malformed('it lists an image without a valid digest')
  return digest
}

function malformed(why: string): DriftwatchError {
  return new DriftwatchError('MALFORMED_RESPONSE', `invalid image manifest: ${why}`)
}
