import type { Doubt } from './doubt.ts'
import type { Image } from './image.ts'
import type { ImageProvenance, RegistryAnswer } from './registry-answers.ts'

/** A tag of a lane, as the registry has it. */
export interface LaneTag {
  readonly repository: string
  readonly tag: string
  /** Its digest, `absent`, or why that could not be told. */
  readonly answer: RegistryAnswer
  /** Whether the other lanes hold what it points to: its digest, and each that an index holds. */
  readonly sightings: readonly LaneSighting[]
  /** Why not all that it points to could be looked at, or in every repository that the lane names. */
  readonly doubts: readonly Doubt[]
  /** How it came there, asked for only where another lane holds it. */
  readonly origin: ImageProvenance | null
}

/** Whether a repository of another lane holds a digest: `digest`, `absent` or `failed`. */
export interface LaneSighting {
  readonly repository: string
  readonly digest: string
  readonly answer: RegistryAnswer
}

/** An image that the service or the job names. */
export interface NamedImage {
  readonly path: 'service.image' | 'revision.image' | 'job.image'
  /** Who names it: `job runtime-migrate`. */
  readonly subject: string
  readonly image: Image
  /** `digest` where the registry holds it, `absent`, or `failed`. */
  readonly answer: RegistryAnswer
}

export interface ObservedLanes {
  readonly tags: readonly LaneTag[]
  readonly named: readonly NamedImage[]
}
