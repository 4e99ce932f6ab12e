import type { EpochMs } from '../../clock.ts'
import type { ImageProvenance } from '../../release/registry-answers.ts'
import { isDigest, parseJson } from './registry-manifest.ts'

type JsonObject = Readonly<Record<string, unknown>>

/** The longest that a builder's text is quoted. */
const longestText = 200

/** The blob that holds what the builder of a single image noted, or null. */
export function configDigest(manifest: Buffer): string | null {
  const digest = object(object(parseJson(manifest))?.config)?.digest
  return typeof digest === 'string' && isDigest(digest) ? digest : null
}

/** What the annotations of a manifest and the labels of its config say. Null: not fetched. */
export function describeProvenance(
  manifest: Buffer | null,
  config: Buffer | null,
  uploadedAt: EpochMs | null,
): ImageProvenance {
  const annotations = object(object(manifest && parseJson(manifest))?.annotations)
  const built = object(config && parseJson(config))
  const labels = object(object(built?.config)?.Labels)
  const noted = (name: string) => text(annotations?.[name]) ?? text(labels?.[name])
  return {
    uploadedAt,
    created: noted('org.opencontainers.image.created') ?? text(built?.created),
    source: noted('org.opencontainers.image.source'),
    revision: noted('org.opencontainers.image.revision'),
  }
}

/** When a digest was uploaded, by the list of tags as Google's registries extend it; null where that does not say. */
export function uploadTime(tagsList: Buffer, digest: string): EpochMs | null {
  const manifests = object(object(parseJson(tagsList))?.manifest)
  const uploaded = Number(object(manifests?.[digest])?.timeUploadedMs)
  return Number.isSafeInteger(uploaded) && uploaded > 0 ? uploaded : null
}

/**
 * Whether a list of tags is that of a repository in which nothing is. Google's registries answer so for a name that they do
 * not know; others, whose list says nothing of manifests, may hold what has no tag.
 */
export function holdsNothing(tagsList: Buffer): boolean {
  const list = object(parseJson(tagsList))
  const manifests = object(list?.manifest)
  const tags = Array.isArray(list?.tags) ? list.tags : []
  return manifests !== null && Object.keys(manifests).length === 0 && tags.length === 0
}

function object(value: unknown): JsonObject | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as JsonObject) : null
}

function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value.slice(0, longestText) : null
}
