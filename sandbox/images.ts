import { createHash } from 'node:crypto'

/**
 * Images from symbolic names: `image-a` always has the same bytes, and so the same digest. Several names
 * form an index: `index(image-a,image-a-arm64)`.
 */
export interface Image {
  readonly digest: string
  readonly mediaType: string
  /** The manifest or the index, from which the digest is computed. */
  readonly bytes: Buffer
  /** The images that an index lists; none in a single image. */
  readonly holds: readonly Image[]
  /** The config and the layer of a single image; none in an index. */
  readonly blobs: readonly Buffer[]
}

/** Older tools push Docker's formats; registries and clients support both. */
export type ImageFormat = 'oci' | 'docker'

const types = {
  oci: {
    index: 'application/vnd.oci.image.index.v1+json',
    manifest: 'application/vnd.oci.image.manifest.v1+json',
    config: 'application/vnd.oci.image.config.v1+json',
    layer: 'application/vnd.oci.image.layer.v1.tar',
  },
  docker: {
    index: 'application/vnd.docker.distribution.manifest.list.v2+json',
    manifest: 'application/vnd.docker.distribution.manifest.v2+json',
    config: 'application/vnd.docker.container.image.v1+json',
    layer: 'application/vnd.docker.image.rootfs.diff.tar',
  },
} as const

const platforms = ['amd64', 'arm64', 'arm', 's390x']
/** An empty tar archive. */
const emptyLayer = Buffer.alloc(1024)

export function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

/** A single image, derived from its name. */
export function singleImage(name: string, format: ImageFormat = 'oci'): Image {
  const { manifest, config, layer } = types[format]
  const settings = jsonBytes({
    architecture: 'amd64',
    os: 'linux',
    config: { Labels: { 'driftwatch.sandbox.image': name } },
    rootfs: { type: 'layers', diff_ids: [sha256(emptyLayer)] },
  })
  const bytes = jsonBytes({
    schemaVersion: 2,
    mediaType: manifest,
    config: descriptor(config, settings),
    layers: [descriptor(layer, emptyLayer)],
  })
  return { digest: sha256(bytes), mediaType: manifest, bytes, holds: [], blobs: [settings, emptyLayer] }
}

/** An index of images (Docker: manifest list). */
export function indexImage(holds: readonly Image[], format: ImageFormat = 'oci'): Image {
  const mediaType = types[format].index
  const manifests = holds.map((image, at) => ({
    ...descriptor(image.mediaType, image.bytes),
    platform: { architecture: platforms[at] ?? 'unknown', os: 'linux' },
  }))
  const bytes = jsonBytes({ schemaVersion: 2, mediaType, manifests })
  return { digest: sha256(bytes), mediaType, bytes, holds, blobs: [] }
}

/** The image of `image-a` or `index(image-a,image-b)`. Throws for any other expression. */
export function imageOf(expression: string): Image {
  const names = /^index\(([^()]*)\)$/.exec(expression)?.[1]
  if (names !== undefined) return indexImage(names.split(',').map(name => singleImage(checkedName(name.trim()))))
  return singleImage(checkedName(expression))
}

/** The digest of `image-a` or `index(image-a,image-b)`. */
export function digestOf(expression: string): string {
  return imageOf(expression).digest
}

/** The digest of the index of these names, in this order. */
export function indexOf(names: readonly string[]): string {
  return digestOf(`index(${names.join(',')})`)
}

/**
 * Replaces `@digest(image-a)` and `@index(image-a,image-b)` with `@sha256:...`. Throws for a malformed expression, so
 * that no fixture is misread.
 */
export function expandDigests(text: string): string {
  return text.replaceAll(/@(digest|index)\(([^()]*)(\)?)/g, (written, kind: string, inner: string, end: string) => {
    if (end === '') throw new Error(`"${written}" does not end with a parenthesis`)
    return `@${digestOf(kind === 'index' ? `index(${inner})` : inner)}`
  })
}

function checkedName(name: string): string {
  if (/^[a-z0-9]+(?:[._-][a-z0-9]+)*$/.test(name)) return name
  throw new Error(`"${name}" is not an image name: expected one like image-a, or index(image-a,image-b)`)
}

function descriptor(mediaType: string, bytes: Buffer) {
  return { mediaType, size: bytes.byteLength, digest: sha256(bytes) }
}

function jsonBytes(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}
