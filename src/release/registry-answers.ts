import type { EpochMs } from '../clock.ts'
import type { ErrorCode } from '../errors.ts'

/** What one reference points to. */
export type ReferenceQuestion =
  | { readonly about: 'tag'; readonly repository: string; readonly tag: string }
  | { readonly about: 'digest'; readonly repository: string; readonly digest: string }

/** A question to a registry about one image repository (`host/path`). */
export type RegistryQuestion =
  | ReferenceQuestion
  /** Whether it is certain that a tag or digest does not exist. A 404 alone may also mean that it may not be read. */
  | { readonly about: 'absence'; readonly repository: string; readonly of: ReferenceQuestion }
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
  /**
   * The digests that an index lists, and those of its images for linux/amd64, which Cloud Run runs, also of indexes in it.
   * Both are empty for a single image.
   */
  | { readonly kind: 'holds'; readonly digests: readonly string[]; readonly amd64: readonly string[] }
  | { readonly kind: 'origin'; readonly origin: ImageProvenance }
  /** The repository exists, or what was thought absent. */
  | { readonly kind: 'there' }
  /** The registry does not have the tag, digest or repository: proven as the answer about its absence only. */
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

/** Asks whether an absence is certain. */
export function absenceOf(question: ReferenceQuestion): RegistryQuestion {
  return { about: 'absence', repository: question.repository, of: question }
}

/** Whether it is certain that a tag or digest does not exist. */
export function isProvenAbsent(question: ReferenceQuestion, answers: RegistryAnswers): boolean {
  return answers.get(questionKey(absenceOf(question)))?.kind === 'absent'
}

export function questionKey(question: RegistryQuestion): string {
  if (question.about === 'tag') return `${question.repository}:${question.tag}`
  if (question.about === 'repository') return `repository ${question.repository}`
  if (question.about === 'absence') return `absence of ${questionKey(question.of)}`
  const reference = `${question.repository}@${question.digest}`
  return question.about === 'digest' ? reference : `${question.about} of ${reference}`
}
