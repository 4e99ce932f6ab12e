import type { EpochMs } from '../../clock.ts'
import type { ImageProvenance } from '../../release/registry-answers.ts'
import { isDigest, parseJson } from './registry-manifest.ts'

type JsonObject = Readonly<Record<string, unknown>>

/** Longer texts of a builder are cut. */
const maxTextLength = 200

/** The digest of the config blob of a single image, or null. */
export function configDigest(manifest: Buffer): string | null {
  const digest = object(object(parseJson(manifest))?.config)?.digest
  return typeof digest === 'string' && isDigest(digest) ? digest : null
}

/** Reads the annotations of a manifest and the labels of its config. Null arguments were not fetched. */
export function describeProvenance(
  manifest: Buffer | null,
  config: Buffer | null,
  uploadedAt: EpochMs | null,
): ImageProvenance {
  const annotations = object(object(manifest && parseJson(manifest))?.annotations)
  const built = object(config && parseJson(config))
  const labels = object(object(built?.config)?.Labels)
  const annotation = (name: string) => text(annotations?.[name]) ?? text(labels?.[name])
  return {
    uploadedAt,
    created: annotation('org.opencontainers.image.created') ?? text(built?.created),
    source: annotation('org.opencontainers.image.source'),
    revision: annotation('org.opencontainers.image.revision'),
  }
}

/** The upload time of a digest in a tags list as extended by Google's registries; null if absent. */
export function uploadTime(tagsList: Buffer, digest: string): EpochMs | null {
  const manifests = object(object(parseJson(tagsList))?.manifest)
  const uploaded = Number(object(manifests?.[digest])?.timeUploadedMs)
  return Number.isSafeInteger(uploaded) && uploaded > 0 ? uploaded : null
}

/**
 * Whether a tags list belongs to an empty repository. Google's registries return such a list for unknown repositories.
 * Lists of other registries do not mention manifests, so the repository may contain untagged images.
 */
export function isEmptyRepository(tagsList: Buffer): boolean {
  const list = object(parseJson(tagsList))
  const manifests = object(list?.manifest)
  const tags = Array.isArray(list?.tags) ? list.tags : []
  return manifests !== null && Object.keys(manifests).length === 0 && tags.length === 0
}

function object(value: unknown): JsonObject | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : null
}

function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value.slice(0, maxTextLength) : null
}
