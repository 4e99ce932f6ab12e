import { type Image, imageOf, sha256 } from '../images.ts'

export interface StoredManifest {
  readonly mediaType: string
  readonly bytes: Buffer
}

/** The content of a registry: repositories by path, their tags, and manifests and blobs by digest. */
export interface RegistryStore {
  /** Adds an image with its content; points the tag at it unless the tag is null. */
  put(repository: string, tag: string | null, image: Image): void
  putManifest(repository: string, reference: string, manifest: StoredManifest): string
  /** By tag or digest. */
  manifest(repository: string, reference: string): { readonly digest: string; readonly manifest: StoredManifest } | null
  /** Removes a tag, or a digest with its tags. Returns false if there is none. */
  remove(repository: string, reference: string): boolean
  /** Null if the repository does not exist. */
  tags(repository: string): readonly string[] | null
  /** Upload time by digest, in epoch ms; empty if the registry does not report it. */
  uploads(repository: string): ReadonlyMap<string, number>
  /** The mode of the Artifact Registry repository with this path; null if it contains no images. */
  mode(path: string): 'STANDARD_REPOSITORY' | 'REMOTE_REPOSITORY' | null
  putBlob(bytes: Buffer): string
  blob(digest: string): Buffer | null
}

/** The content of one repository, in expressions of images.ts: `image-a`, `index(image-a,image-b)`. */
export interface RepositoryContent {
  readonly tags: Readonly<Record<string, string>>
  /** Whether it fetches images from another registry. */
  readonly pullThrough?: boolean
  /** Images without a tag. */
  readonly untagged?: readonly string[]
  /** Upload time by image, as Google's registries report it. */
  readonly uploads?: Readonly<Record<string, { readonly uploadTime: string }>>
}

interface Repository {
  pullThrough: boolean
  readonly manifests: Map<string, StoredManifest>
  readonly tags: Map<string, string>
  readonly uploads: Map<string, number>
}

export function createRegistryStore(content: Readonly<Record<string, RepositoryContent>> = {}): RegistryStore {
  const repositories = new Map<string, Repository>()
  const blobs = new Map<string, Buffer>()

  function repositoryAt(name: string): Repository {
    const path = repositoryPath(name)
    const repository = repositories.get(path) ?? {
      pullThrough: false,
      manifests: new Map(),
      tags: new Map(),
      uploads: new Map(),
    }
    repositories.set(path, repository)
    return repository
  }

  const store: RegistryStore = {
    put(repository, tag, image) {
      for (const held of image.holds) store.put(repository, null, held)
      for (const blob of image.blobs) store.putBlob(blob)
      store.putManifest(repository, tag ?? image.digest, image)
    },
    putManifest(repository, reference, { mediaType, bytes }) {
      const { manifests, tags } = repositoryAt(repository)
      const digest = sha256(bytes)
      manifests.set(digest, { mediaType, bytes })
      if (!isDigest(reference)) tags.set(reference, digest)
      return digest
    },
    manifest(name, reference) {
      const repository = repositories.get(repositoryPath(name))
      const digest = isDigest(reference) ? reference : repository?.tags.get(reference)
      const manifest = digest === undefined ? undefined : repository?.manifests.get(digest)
      return digest === undefined || manifest === undefined ? null : { digest, manifest }
    },
    remove(name, reference) {
      const repository = repositories.get(repositoryPath(name))
      if (!isDigest(reference)) return repository?.tags.delete(reference) ?? false
      for (const [tag, digest] of repository?.tags ?? []) {
        if (digest === reference) repository?.tags.delete(tag)
      }
      return repository?.manifests.delete(reference) ?? false
    },
    tags(name) {
      const repository = repositories.get(repositoryPath(name))
      return repository ? [...repository.tags.keys()].sort() : null
    },
    uploads: name => repositories.get(repositoryPath(name))?.uploads ?? new Map(),
    mode(path) {
      const found = [...repositories].filter(([name]) => name.startsWith(`${path}/`)).map(([, each]) => each)
      if (found.length === 0) return null
      return found.some(({ pullThrough }) => pullThrough) ? 'REMOTE_REPOSITORY' : 'STANDARD_REPOSITORY'
    },
    putBlob(bytes) {
      blobs.set(sha256(bytes), bytes)
      return sha256(bytes)
    },
    blob: digest => blobs.get(digest) ?? null,
  }

  for (const [repository, { tags, pullThrough = false, untagged = [], uploads = {} }] of Object.entries(content)) {
    repositoryAt(repository).pullThrough = pullThrough
    for (const [tag, expression] of Object.entries(tags)) store.put(repository, tag, imageOf(expression))
    for (const expression of untagged) store.put(repository, null, imageOf(expression))
    for (const [expression, { uploadTime }] of Object.entries(uploads)) {
      repositoryAt(repository).uploads.set(imageOf(expression).digest, Date.parse(uploadTime))
    }
  }
  return store
}

function isDigest(reference: string): boolean {
  return reference.startsWith('sha256:')
}

/** Without the host, because the emulator serves all registry hosts; `nginx` is Docker Hub's `library/nginx`. */
function repositoryPath(repository: string): string {
  const slash = repository.indexOf('/')
  if (slash < 0) return `library/${repository}`
  const first = repository.slice(0, slash)
  return /[.:]/.test(first) || first === 'localhost' ? repository.slice(slash + 1) : repository
}
