import { DriftwatchError } from '../../errors.ts'

/** The API address of an image repository. */
export interface RepositoryAddress {
  /** The API host: `registry-1.docker.io` for `docker.io`. */
  readonly host: string
  /** The repository's path on that host. */
  readonly path: string
  /** `https://` and the host, or `http://` and the emulator's host. */
  readonly origin: string
}

const hostText = /^[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d{1,5})?$/i
const pathText = /^[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*$/i
const dockerHosts: readonly string[] = ['docker.io', 'index.docker.io', 'registry-1.docker.io']

/**
 * The address of `host/path`. As in container runtimes, a name without a host belongs to Docker Hub, and a single name there
 * means `library/name`. Throws `INVALID_ARGUMENT` for an invalid repository.
 */
export function repositoryAddress(repository: string, emulatorHost: string | null): RepositoryAddress {
  const { host, path } = splitRepository(repository)
  if (!hostText.test(host) || !pathText.test(path)) {
    throw new DriftwatchError('INVALID_ARGUMENT', `invalid image repository "${repository}": expected host/path`)
  }
  return { host, path, origin: emulatorHost === null ? `https://${host}` : `http://${emulatorHost}` }
}

function splitRepository(repository: string): { host: string; path: string } {
  const slash = repository.indexOf('/')
  const first = slash < 0 ? '' : repository.slice(0, slash)
  const named = /[.:]/.test(first) || first === 'localhost'
  const host = named ? first.toLowerCase() : 'docker.io'
  const path = named ? repository.slice(slash + 1) : repository
  if (!dockerHosts.includes(host)) return { host, path }
  return { host: 'registry-1.docker.io', path: path.includes('/') ? path : `library/${path}` }
}

/** Whether the host is a registry of Google. Only these receive Google credentials. */
export function isGoogleRegistry(host: string): boolean {
  return host === 'gcr.io' || host.endsWith('.gcr.io') || host.endsWith('.pkg.dev')
}
