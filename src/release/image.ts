/** A reference to a container image. Without tag and digest, `tag` is `latest`. */
export interface Image {
  /** Registry host and path, such as `us-central1-docker.pkg.dev/acme/app/runtime`. */
  readonly repository: string
  readonly tag: string | null
  /** `sha256:...`, lower case. */
  readonly digest: string | null
}

/** A subset of the grammar of distribution/reference, strict enough to reject typing errors. */
const reference =
  /^(?<repository>[a-zA-Z0-9][a-zA-Z0-9._-]*(?::[0-9]+(?=\/))?(?:\/[a-zA-Z0-9][a-zA-Z0-9._-]*)*)(?::(?<tag>[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}))?(?:@(?<digest>[a-z0-9]+:[0-9a-zA-Z]+))?$/

/** A repository of 255 characters, a tag of 128 and a digest. */
const maxLength = 512

/** Parses `host/path[:tag][@sha256:...]`; returns null for anything else. */
export function parseImage(text: string): Image | null {
  const parts = text.length <= maxLength ? reference.exec(text)?.groups : undefined
  if (!parts?.repository) return null
  const digest = parts.digest?.toLowerCase() ?? null
  return { repository: parts.repository, tag: parts.tag ?? (digest ? null : 'latest'), digest }
}

/** The image for a command: by digest if it is known, because a tag can move. */
export function pinnedImage(image: Image): string {
  return image.digest ? `${image.repository}@${image.digest}` : `${image.repository}:${image.tag}`
}

/** The full reference with tag and digest. */
export function formatImage(image: Image): string {
  return `${image.repository}${image.tag ? `:${image.tag}` : ''}${image.digest ? `@${image.digest}` : ''}`
}

/** A short name for messages: the last part of the repository, and the tag or a short digest. */
export function shortImage(image: Image, parts = 1): string {
  return image.tag ? `${shortRepository(image, parts)}:${image.tag}` : shortDigest(image, parts)
}

/** The shortest names that tell two images apart in a message: as few parts of the repository as possible. */
export function distinctImages(a: Image, b: Image): readonly [string, string] {
  const longest = Math.max(...[a, b].map(({ repository }) => repository.split('/').length))
  for (let parts = 1; parts <= longest; parts += 1) {
    for (const format of [shortImage, shortDigest]) {
      const [ofA, ofB] = [format(a, parts), format(b, parts)]
      if (ofA !== ofB) return [ofA, ofB]
    }
  }
  return [shortImage(a), shortImage(b)]
}

function shortDigest(image: Image, parts = 1): string {
  const digest = image.digest?.slice(image.digest.indexOf(':') + 1).slice(0, 12)
  return `${shortRepository(image, parts)}${digest ? `@${digest}` : `:${image.tag}`}`
}

function shortRepository({ repository }: Image, parts: number): string {
  return repository.split('/').slice(-parts).join('/')
}
