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

/** What an index lists, one level deep. All are empty for a single image. */
export interface HeldDigests {
  readonly digests: readonly string[]
  /** Of the images for linux/amd64: of several variants, all. */
  readonly amd64: readonly string[]
  /** Of the indexes that may contain an image for linux/amd64. */
  readonly indexes: readonly string[]
}

interface Entry {
  readonly digest: string
  readonly isIndex: boolean
  /** `linux/amd64`, or null if the index does not say. */
  readonly platform: string | null
}

/** Throws `MALFORMED_RESPONSE`. */
export function heldDigests(bytes: Buffer): HeldDigests {
  const manifest = parseManifest(bytes)
  const isIndex = 'manifests' in manifest
  const isSingle = 'config' in manifest || 'layers' in manifest
  if (manifest.schemaVersion !== 2 || isIndex === isSingle) throw malformed('neither an image nor an index')
  return sortEntries(isIndex ? listed(manifest.manifests) : [])
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

/** Entries without a platform count only if no other is for linux/amd64. */
function sortEntries(entries: readonly Entry[]): HeldDigests {
  const named = entries.filter(({ platform }) => platform === 'linux/amd64')
  const candidates = named.length > 0 ? named : entries.filter(({ platform }) => platform === null)
  const digestsOf = (some: readonly Entry[]) => [...new Set(some.map(({ digest }) => digest))]
  return {
    digests: digestsOf(entries),
    amd64: digestsOf(candidates.filter(({ isIndex }) => !isIndex)),
    indexes: digestsOf(candidates.filter(({ isIndex }) => isIndex)),
  }
}

function listed(entries: unknown): readonly Entry[] {
  if (!Array.isArray(entries)) throw malformed('the list of manifests is not an array')
  if (entries.length > maxDigests) throw malformed(`more than ${maxDigests} images`)
  return entries.map(readEntry)
}

function readEntry(value: unknown): Entry {
  const { digest, mediaType, platform } = (value ?? {}) as { digest?: unknown; mediaType?: unknown; platform?: unknown }
  if (typeof digest !== 'string' || !isDigest(digest)) throw malformed('it lists an image without a valid digest')
  const { os, architecture } = (platform ?? {}) as { os?: unknown; architecture?: unknown }
  return {
    digest,
    isIndex: mediaType === manifestTypes[0] || mediaType === manifestTypes[1],
    platform: platform ? `${os}/${architecture}` : null,
  }
}

/** Whether the body of a response names an error code of the OCI distribution specification. */
export function hasErrorCode(body: Buffer | null, code: string): boolean {
  const { errors } = ((body && parseJson(body)) ?? {}) as { errors?: unknown }
  return Array.isArray(errors) && errors.some(error => error?.code === code)
}

function malformed(why: string): DriftwatchError {
  return new DriftwatchError('MALFORMED_RESPONSE', `invalid image manifest: ${why}`)
}
