import type { RegistryCallAbout } from './requests.ts'
import type { RegistryStore, StoredManifest } from './store.ts'

export interface Reply {
  readonly status: number
  /** An empty value omits the header. */
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Buffer
}

export interface Route {
  readonly about: RegistryCallAbout
  readonly repository: string
  readonly reference: string
}

export interface RegistryRequest extends Route {
  readonly method: string
  readonly query: URLSearchParams
  readonly accept: string
  readonly contentType: string
  readonly body: Buffer
}

/** Parses a path; null for an unknown path. */
export function routeOf(path: string): Route | null {
  if (path === '/v2/') return { about: 'ping', repository: '', reference: '' }
  if (path === '/v2/token') return { about: 'token', repository: '', reference: '' }
  const [, project = '', name = ''] = /^\/v1\/projects\/(.+)\/locations\/[^/]+\/repositories\/([^/]+)$/.exec(path) ?? []
  if (name) return { about: 'repository', repository: `${project.replace(':', '/')}/${name}`, reference: '' }
  const [, repository, about, reference] = /^\/v2\/(.+)\/(manifests|blobs|tags)\/(.+)$/.exec(path) ?? []
  if (repository === undefined || reference === undefined) return null
  return { about: about as RegistryCallAbout, repository, reference }
}

/** The response of a registry without faults and tokens, according to the OCI distribution specification. */
export function answer(store: RegistryStore, request: RegistryRequest): Reply {
  if (request.about === 'manifests') return answerManifest(store, request)
  if (request.about === 'blobs') return answerBlob(store, request)
  if (request.about === 'tags') return answerTags(store, request)
  if (request.about === 'repository') return answerRepository(store, request)
  return jsonReply({})
}

/** With the details of each digest that Google's registries add. */
function answerTags(store: RegistryStore, { repository: name }: RegistryRequest): Reply {
  const tags = store.tags(name)
  if (tags === null) return unknownName()
  const uploads = [...store.uploads(name)].map(([digest, timeUploadedMs]) => [digest, { timeUploadedMs }] as const)
  const manifest = Object.fromEntries(uploads)
  return jsonReply({ name, tags, ...(uploads.length > 0 && { manifest }) })
}

/** The Artifact Registry API: a repository there contains the images below its path. */
function answerRepository(store: RegistryStore, { repository }: RegistryRequest): Reply {
  const mode = store.mode(repository)
  if (mode === null) return { ...jsonReply({ error: { code: 404, status: 'NOT_FOUND' } }), status: 404 }
  return jsonReply({ format: 'DOCKER', mode })
}

function answerManifest(store: RegistryStore, request: RegistryRequest): Reply {
  const { method, repository, reference, body, contentType, accept } = request
  if (method === 'PUT') {
    const digest = store.putManifest(repository, reference, { mediaType: contentType, bytes: body })
    return { status: 201, headers: { 'docker-content-digest': digest } }
  }
  if (method === 'DELETE') return store.remove(repository, reference) ? { status: 202 } : unknownManifest()
  const found = store.manifest(repository, reference)
  if (found === null && store.tags(repository) === null) return unknownName()
  if (found === null || !accept.includes(found.manifest.mediaType)) return unknownManifest()
  return manifestReply(found.digest, found.manifest)
}

function manifestReply(digest: string, { mediaType, bytes }: StoredManifest): Reply {
  return { status: 200, headers: { 'content-type': mediaType, 'docker-content-digest': digest }, body: bytes }
}

function unknownName(): Reply {
  return errorReply(404, 'NAME_UNKNOWN', 'repository name not known to registry')
}

function unknownManifest(): Reply {
  return errorReply(404, 'MANIFEST_UNKNOWN', 'manifest unknown')
}

/** Monolithic uploads (POST, then PUT with the digest), and HEAD and GET by digest. */
function answerBlob(store: RegistryStore, { method, repository, reference, query, body }: RegistryRequest): Reply {
  if (method === 'POST') return { status: 202, headers: { location: `/v2/${repository}/blobs/upload` } }
  if (method === 'PUT') {
    const digest = store.putBlob(body)
    if (digest === query.get('digest')) return { status: 201, headers: { 'docker-content-digest': digest } }
    return errorReply(400, 'DIGEST_INVALID', 'provided digest did not match uploaded content')
  }
  const bytes = store.blob(reference)
  if (bytes === null) return errorReply(404, 'BLOB_UNKNOWN', 'blob unknown to registry')
  return { status: 200, headers: { 'content-type': 'application/octet-stream' }, body: bytes }
}

export function errorReply(status: number, code: string, message: string, headers: Record<string, string> = {}): Reply {
  return { ...jsonReply({ errors: [{ code, message }] }, headers), status }
}

export function jsonReply(value: unknown, headers: Record<string, string> = {}): Reply {
  const body = Buffer.from(JSON.stringify(value))
  return { status: 200, headers: { 'content-type': 'application/json', ...headers }, body }
}
