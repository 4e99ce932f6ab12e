import type { Image } from '../release/image.ts'
import { addTag } from './gcloud.ts'
import { type Remedy, run } from './remedy.ts'
import { isAbsent, type Situation } from './situation.ts'

/** Points a missing tag to the digest that it had. Null if the digest is not known, or the registry does not have it. */
export function restoreTag(situation: Situation, { repository, tag }: Image, digest: string | null): Remedy | null {
  const target = { repository, tag: null, digest }
  if (tag === null || digest === null || isAbsent(situation, target)) return null
  const command = addTag(target, tag)
  return command === null
    ? null
    : run(command, `Points tag ${tag} to the digest that it had. If that was deleted too, push the image again.`)
}
