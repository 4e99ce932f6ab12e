import type { ErrorCode } from '../errors.ts'

/** A question to a registry about one image repository (`host/path`, whole). */
export type RegistryQuestion =
  | { readonly about: 'tag'; readonly repository: string; readonly tag: string }
  | { readonly about: 'digest'; readonly repository: string; readonly digest: string }

export type RegistryAnswer =
  /** The digest that the tag has now. */
  | { readonly kind: 'digest'; readonly digest: string }
  /** The digests that an index holds; empty for a single image. */
  | { readonly kind: 'holds'; readonly digests: readonly string[] }
  /** The registry positively has no such tag or digest. */
  | { readonly kind: 'absent' }
  /** It could not be asked, or did not say. */
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly message: string }

/** What registries said so far, by `questionKey`. A question that was never asked has no answer here. */
export type RegistryAnswers = ReadonlyMap<string, RegistryAnswer>

export function questionKey(question: RegistryQuestion): string {
  return question.about === 'tag'
    ? `${question.repository}:${question.tag}`
    : `${question.repository}@${question.digest}`
}
