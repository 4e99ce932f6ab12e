import type { EpochMs } from '../clock.ts'
import type { ErrorCode } from '../errors.ts'

/** A question to a registry about one image repository (`host/path`). */
export type RegistryQuestion =
  | { readonly about: 'tag'; readonly repository: string; readonly tag: string }
  | { readonly about: 'digest'; readonly repository: string; readonly digest: string }
  /** Whether the repository has a digest. The `expected` answer is cached for some minutes. */
  | {
      readonly about: 'presence'
      readonly repository: string
      readonly digest: string
      readonly expected: 'digest' | 'absent'
    }
  /** Whether the repository exists and can be read. A positive answer is cached for some minutes. */
  | { readonly about: 'repository'; readonly repository: string }
  /** How a digest came into the repository. */
  | { readonly about: 'origin'; readonly repository: string; readonly digest: string }

export type RegistryAnswer =
  /** The current digest of the tag, or the digest whose presence was asked for. */
  | { readonly kind: 'digest'; readonly digest: string }
  /** The digests in an index; empty for a single image. */
  | { readonly kind: 'holds'; readonly digests: readonly string[] }
  | { readonly kind: 'origin'; readonly origin: ImageProvenance }
  /** The repository exists. */
  | { readonly kind: 'there' }
  /** The registry reports that the tag, digest or repository does not exist. */
  | { readonly kind: 'absent' }
  /** The registry could not be reached, or its response proves nothing. */
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string }

/** How an image was built and uploaded. Registries do not report who moved a tag. */
export interface ImageProvenance {
  /** When its manifest was uploaded; null for registries other than Google's, which do not report it. */
  readonly uploadedAt: EpochMs | null
  /** Labels of the builder: build time, source and revision; null if absent. */
  readonly created: string | null
  readonly source: string | null
  readonly revision: string | null
}

/** Answers by `questionKey`. A question that was not asked has no entry. */
export type RegistryAnswers = ReadonlyMap<string, RegistryAnswer>

export function questionKey(question: RegistryQuestion): string {
  if (question.about === 'tag') return `${question.repository}:${question.tag}`
  if (question.about === 'repository') return `repository ${question.repository}`
  const reference = `${question.repository}@${question.digest}`
  return question.about === 'digest' ? reference : `${question.about} of ${reference}`
}
