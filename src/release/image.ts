/** What is known of a container image. Neither tag nor digest was given: `tag` is `latest`. */
export interface Image {
  /** Registry host and path, compared whole: `us-central1-docker.pkg.dev/acme/app/runtime`. */
  readonly repository: string
  readonly tag: string | null
  /** `sha256:...`, lower case. */
  readonly digest: string | null
}

/** distribution/reference's grammar, as much of it as tells an image from a slip of the pen. */
const reference =
  /^(?<repository>[a-zA-Z0-9][a-zA-Z0-9._-]*(?::[0-9]+(?=\/))?(?:\/[a-zA-Z0-9][a-zA-Z0-9._-]*)*)(?::(?<tag>[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,127}))?(?:@(?<digest>[a-z0-9]+:[0-9a-zA-Z]+))?$/

/** The longest reference worth reading: a repository of 255 characters, a tag of 128 and a digest. */
const longest = 512

/** `host/path[:tag][@sha256:...]`, or null for what is no image. */
export function parseImage(text: string): Image | null {
  const parts = text.length <= longest ? reference.exec(text)?.groups : undefined
  if (!parts?.repository) return null
  const digest = parts.digest?.toLowerCase() ?? null
  return { repository: parts.repository, tag: parts.tag ?? (digest ? null : 'latest'), digest }
}

/** The image as a command takes it: by digest where that is known, since a tag can move. */
export function pinnedImage(image: Image): string {
  return image.digest ? `${image.repository}@${image.digest}` : `${image.repository}:${image.tag}`
}

/** The whole reference, tag and digest. */
export function formatImage(image: Image): string {
  return `${image.repository}${image.tag ? `:${image.tag}` : ''}${image.digest ? `@${image.digest}` : ''}`
}

/** The image as a sentence names it: the last part of the repository, and a tag or a short digest. */
export function shortImage(image: Image): string {
  return image.tag ? `${shortRepository(image)}:${image.tag}` : shortDigest(image)
}

/** Two images as a sentence names them apart, as shortly as it can. */
export function distinctImages(a: Image, b: Image): readonly [string, string] {
  const ways = [shortImage, shortDigest, formatImage]
  const way = ways.find(each => each(a) !== each(b)) ?? formatImage
  return [way(a), way(b)]
}

function shortDigest(image: Image): string {
  const digest = image.digest?.slice(image.digest.indexOf(':') + 1).slice(0, 12)
  return digest ? `${shortRepository(image)}@${digest}` : formatImage(image)
}

function shortRepository({ repository }: Image): string {
  return repository.slice(repository.lastIndexOf('/') + 1)
}
