import type { EpochMs } from '../clock.ts'
import type { ErrorCode } from '../errors.ts'

/** A question to a registry about one image repository (`host/path`, whole). */
export type RegistryQuestion =
  | { readonly about: 'tag'; readonly repository: string; readonly tag: string }
  | { readonly about: 'digest'; readonly repository: string; readonly digest: string }
  /** Whether the repository holds a digest. The answer that is `expected` is believed for some minutes. */
  | {
      readonly about: 'presence'
      readonly repository: string
      readonly digest: string
      readonly expected: 'digest' | 'absent'
    }
  /** Whether there is such a repository at all, and it may be read. That it is there is believed for some minutes. */
  | { readonly about: 'repository'; readonly repository: string }
  /** How a digest came into the repository. */
  | { readonly about: 'origin'; readonly repository: string; readonly digest: string }

export type RegistryAnswer =
  /** The digest that the tag has now, or the one whose presence was asked for. */
  | { readonly kind: 'digest'; readonly digest: string }
  /** The digests that an index holds; empty for a single image. */
  | { readonly kind: 'holds'; readonly digests: readonly string[] }
  | { readonly kind: 'origin'; readonly origin: ImageProvenance }
  /** There is such a repository. */
  | { readonly kind: 'there' }
  /** The registry positively has no such tag, digest or repository. */
  | { readonly kind: 'absent' }
  /** It could not be asked, or did not say. */
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string }

/** What can be told of how an image came to be where it is. No registry tells who moved a tag. */
export interface ImageProvenance {
  /** When its manifest was uploaded; null where the registry does not tell, as only Google's do. */
  readonly uploadedAt: EpochMs | null
  /** As its builder noted, null where it did not: when it was built, from which source, at which revision. */
  readonly created: string | null
  readonly source: string | null
  readonly revision: string | null
}

/** What registries said so far, by `questionKey`. A question that was never asked has no answer here. */
export type RegistryAnswers = ReadonlyMap<string, RegistryAnswer>

export function questionKey(question: RegistryQuestion): string {
  if (question.about === 'tag') return `${question.repository}:${question.tag}`
  if (question.about === 'repository') return `repository ${question.repository}`
  const reference = `${question.repository}@${question.digest}`
  return question.about === 'digest' ? reference : `${question.about} of ${reference}`
}
