import type { Deadline } from '../../concurrency/deadline.ts'
import { DriftwatchError } from '../../errors.ts'
import { createHttpClient, type HttpClient } from '../http/http-client.ts'

/** Where this process runs in Google Cloud. */
export interface InstanceMetadata {
  /** A project ID. */
  readonly project: string
  /** A region, or the zone of a virtual machine. */
  readonly location: string
  /** Unique to this instance. */
  readonly instance: string
}

/** The metadata server of Google Cloud, reachable only from within it. */
export interface MetadataServer {
  /** Null if there is no metadata server. Rejects with a coded error if the server answers with an error. */
  read(deadline: Deadline): Promise<InstanceMetadata | null>
}

const maxBodyBytes = 65_536

/** `host` is `metadata.google.internal`, or an emulator such as `127.0.0.1:8090`. */
export function createMetadataServer(host: string): MetadataServer {
  const client = createHttpClient()
  return {
    async read(deadline) {
      const project = await readValue(client, host, 'project/project-id', deadline)
      if (project === null) return null
      const [region, zone, instance] = await Promise.all(
        ['instance/region', 'instance/zone', 'instance/id'].map(path => readValue(client, host, path, deadline)),
      )
      // `us-central1` of `projects/123/regions/us-central1`.
      const location = (region || zone)?.split('/').at(-1)
      if (!project || !location || !instance) {
        throw new DriftwatchError(
          'MALFORMED_RESPONSE',
          `the metadata server ${host} did not return a project, region and instance`,
        )
      }
      return { project, location, instance }
    },
  }
}

/** A value's text, `''` if the server does not have it, null if there is no metadata server. */
async function readValue(client: HttpClient, host: string, path: string, deadline: Deadline): Promise<string | null> {
  const url = URL.parse(`http://${host}/computeMetadata/v1/${path}`)
  if (url === null) return null
  const request = { url, headers: { 'metadata-flavor': 'Google' }, maxBodyBytes, deadline }
  const response = await client(request).catch(() => null)
  if (response?.headers.get('metadata-flavor') !== 'Google') return null
  if (response.status === 404) return ''
  if (response.status === 200) return response.body?.toString().trim() ?? ''
  throw new DriftwatchError('UNAVAILABLE', `the metadata server ${host} returned HTTP ${response.status} for ${path}`)
}
