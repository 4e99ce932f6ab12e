import type { Image } from './image.ts'
import type { ImageProvenance, RegistryAnswer } from './registry-answers.ts'
import type { UnknownReason } from './unknown-reason.ts'

/** A tag of a release lane, as the registry has it. */
export interface LaneTag {
  readonly repository: string
  readonly tag: string
  /** `digest`, `absent` or `failed`. */
  readonly answer: RegistryAnswer
  /** For the tag's digest, and each digest in its index: whether other lanes have it. */
  readonly presences: readonly LanePresence[]
  /** What could not be read about the tag or about the repositories that the lane names. */
  readonly unknowns: readonly UnknownReason[]
  /** Read only if another lane has the image. */
  readonly origin: ImageProvenance | null
}

/** Whether the repository of another lane has a digest: `digest`, `absent` or `failed`. */
export interface LanePresence {
  readonly repository: string
  readonly digest: string
  readonly answer: RegistryAnswer
}

/** An image that the service, a serving revision or the job refers to. */
export interface ReferencedImage {
  readonly path: 'service.image' | 'revision.image' | 'job.image'
  /** The resource, such as `job runtime-migrate`. */
  readonly subject: string
  readonly image: Image
  /** `digest` if the registry has it, `absent` or `failed`. */
  readonly answer: RegistryAnswer
}

export interface ObservedLanes {
  readonly tags: readonly LaneTag[]
  readonly named: readonly ReferencedImage[]
}
