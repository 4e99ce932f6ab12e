import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { type Image, sha256 } from '../../sandbox/images.ts'

const binary = '/usr/bin/docker-registry'

/** The reason to skip a test if docker-registry is not installed, else false. */
export const noDockerRegistry: string | false = existsSync(binary)
  ? false
  : `${binary} is not installed: apt-get install docker-registry`

export interface DockerRegistry {
  /** `127.0.0.1:PORT` */
  readonly host: string
  /** Ends the process and removes its directory. */
  close(): Promise<void>
}

/** Starts Debian's `docker-registry` (CNCF Distribution) on a free port, in a temporary directory. */
export async function startDockerRegistry(): Promise<DockerRegistry> {
  const directory = await mkdtemp(join(tmpdir(), 'driftwatch-registry-'))
  const config = join(directory, 'config.json')
  await writeFile(config, JSON.stringify(registryConfig(directory)))
  const child = spawn(binary, ['serve', config], { env: {}, stdio: ['ignore', 'ignore', 'pipe'] })
  const exited = once(child, 'exit')
  return {
    host: await listeningHost(child.stderr),
    async close() {
      child.kill('SIGKILL')
      await exited
      await rm(directory, { recursive: true, force: true })
    },
  }
}

/** The address in the log. Continues to read, so that the log never fills its pipe. */
function listeningHost(log: Readable): Promise<string> {
  const lines: string[] = []
  return new Promise((resolve, reject) => {
    const reader = createInterface(log)
    reader.on('line', line => {
      const host = /listening on (127\.0\.0\.1:\d+)/.exec(line)?.[1]
      if (host === undefined) lines.push(line)
      else resolve(host)
    })
    reader.on('close', () => reject(new Error(`docker-registry did not start:\n${lines.join('\n')}`)))
  })
}

/** JSON is YAML. With port 0 the registry uses a free port and logs it. */
function registryConfig(directory: string) {
  return {
    version: '0.1',
    log: { level: 'info', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(directory, 'data') }, delete: { enabled: true } },
    http: { addr: '127.0.0.1:0' },
  }
}

/** Pushes an image as `docker push` does: its images, its blobs, then the manifest under its tag or digest. */
export async function pushImage(host: string, path: string, tag: string | null, image: Image): Promise<void> {
  for (const held of image.holds) await pushImage(host, path, null, held)
  for (const blob of image.blobs) await pushBlob(host, path, blob)
  await expectStatus(201, `http://${host}/v2/${path}/manifests/${tag ?? image.digest}`, {
    method: 'PUT',
    headers: { 'content-type': image.mediaType },
    body: image.bytes,
  })
}

async function pushBlob(host: string, path: string, blob: Buffer): Promise<void> {
  const start = `http://${host}/v2/${path}/blobs/uploads/`
  const started = await expectStatus(202, start, { method: 'POST' })
  const upload = new URL(started.headers.get('location') ?? '', start)
  upload.searchParams.set('digest', sha256(blob))
  const headers = { 'content-type': 'application/octet-stream' }
  await expectStatus(201, upload.href, { method: 'PUT', headers, body: blob })
}

/** Deletes a manifest by digest, with the tags that point at it. */
export async function deleteManifest(host: string, path: string, digest: string): Promise<void> {
  await expectStatus(202, `http://${host}/v2/${path}/manifests/${digest}`, { method: 'DELETE' })
}

async function expectStatus(status: number, url: string, init: RequestInit): Promise<Response> {
  const response = await fetch(url, init)
  const body = await response.text()
  if (response.status === status) return response
  throw new Error(`${init.method} ${url}: expected ${status}, got ${response.status}: ${body}`)
}
