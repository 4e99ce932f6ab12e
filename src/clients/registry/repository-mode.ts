import type { Deadline } from '../../concurrency/deadline.ts'
import { DriftwatchError } from '../../errors.ts'
import type { RepositoryAddress } from './registry-address.ts'
import { type RegistryHttp, refusalCode } from './registry-http.ts'
import { parseJson } from './registry-manifest.ts'
import type { RegistryCredentials } from './registry-tokens.ts'

const artifactRegistry = 'https://artifactregistry.googleapis.com'

/**
 * Whether a repository may fetch images from another registry on demand, so that it does not know which tags exist. Only
 * Artifact Registry reports this. Rejects with a coded error if it does not answer.
 */
export async function isPullThrough(
  address: RepositoryAddress,
  http: RegistryHttp,
  credentials: RegistryCredentials | null,
  deadline: Deadline,
): Promise<boolean> {
  if (address.host === 'mirror.gcr.io') return true
  const path = repositoryPath(address)
  if (path === null) return false
  const isReal = address.origin === `https://${address.host}`
  const authorization = isReal && credentials ? `Bearer ${await credentials.accessToken()}` : null
  const response = await http({
    method: 'GetRepository',
    url: new URL(`${isReal ? artifactRegistry : address.origin}/v1/${path}`),
    headers: { accept: 'application/json', ...(authorization !== null && { authorization }) },
    deadline,
  })
  if (response.status === 404) return false
  const code = refusalCode(response.status)
  if (code !== null) throw new DriftwatchError(code, `Artifact Registry returned HTTP ${response.status} for ${path}`)
  const { mode } = ((response.body && parseJson(response.body)) ?? {}) as { mode?: unknown }
  return mode !== 'STANDARD_REPOSITORY'
}

/** The name of the repository in the API, or null for other registries. A project can be `example.com:project`. */
function repositoryPath({ host, path }: RepositoryAddress): string | null {
  const location = /^(?<location>[a-z0-9-]+)-docker\.pkg\.dev$/.exec(host)?.groups?.location
  const segments = path.split('/')
  const project = segments[0]?.includes('.') ? segments.splice(0, 2).join(':') : segments.shift()
  const [repository] = segments
  return location && project && repository
    ? `projects/${project}/locations/${location}/repositories/${repository}`
    : null
}
