import { parseImage } from '../release/image.ts'

type Text = string | null

const digest = /sha256:([0-9a-f]{12})[0-9a-f]{52}(?![0-9a-f])/g

/** Two values as a person compares them: digests have twelve characters, as in summaries, and a repository that both share its last segment. */
export function shortenImages(expected: Text, actual: Text): readonly [Text, Text] {
  const start = sharedPath(expected, actual).length
  const [one, other] = [expected, actual].map(text => text?.slice(start).replaceAll(digest, 'sha256:$1') ?? null)
  return one === other ? [expected, actual] : [one ?? null, other ?? null]
}

/** `us-central1-docker.pkg.dev/acme/app/` if both are images of one repository there. */
function sharedPath(expected: Text, actual: Text): string {
  const [one, other] = [expected, actual].map(text => parseImage(text ?? '')?.repository)
  return one && one === other ? one.slice(0, one.lastIndexOf('/') + 1) : ''
}
