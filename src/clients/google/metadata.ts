import { DriftwatchError } from '../../errors.ts'

/** Where this process runs in Google Cloud. */
export interface InstanceMetadata {
  /** A project ID. */
  readonly project: string
  /** A region, or the zone of a machine. */
  readonly location: string
  /** What no other instance has. */
  readonly instance: string
}

/** Google's metadata server, which only a process within Google Cloud can reach. */
export interface MetadataServer {
  /** Null where nobody answers, or somebody who is not a metadata server. Rejects where it answers with an error. */
  read(signal: AbortSignal): Promise<InstanceMetadata | null>
}

/** `host` as `metadata.google.internal`, or `127.0.0.1:8090` for another. */
export function createMetadataServer(host: string): MetadataServer {
  return {
    async read(signal) {
      const project = await readValue(host, 'project/project-id', signal)
      if (project === null) return null
      const [region, zone, instance] = await Promise.all([
        readValue(host, 'instance/region', signal),
        readValue(host, 'instance/zone', signal),
        readValue(host, 'instance/id', signal),
      ])
      const location = lastSegment(region || zone || '')
      if (!project || !location || !instance) {
        throw new DriftwatchError('MALFORMED_RESPONSE', `the metadata server ${host} does not say where this runs`)
      }
      return { project, location, instance }
    },
  }
}

/** A value's text, `''` where the server has none, null where there is no metadata server. */
async function readValue(host: string, path: string, signal: AbortSignal): Promise<string | null> {
  const headers = { 'metadata-flavor': 'Google' }
  let response: Response
  try {
    response = await fetch(`http://${host}/computeMetadata/v1/${path}`, { headers, signal, redirect: 'error' })
  } catch {
    return null
  }
  const text = (await response.text()).trim()
  if (response.headers.get('metadata-flavor') !== 'Google') return null
  if (response.status === 404) return ''
  if (response.ok) return text
  throw new DriftwatchError('UNAVAILABLE', `the metadata server ${host} answered ${response.status} for ${path}`)
}

/** Of `projects/123/regions/us-central1`. */
function lastSegment(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
