import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

const binary = '/usr/bin/openssl'

/** The reason to skip a test if openssl is not installed, else false. */
export const noOpenssl: string | false = existsSync(binary) ? false : `${binary} is not installed`

export interface Certificate {
  /** The certificate of the authority that signed it, in PEM. */
  readonly ca: string
  readonly key: string
  readonly cert: string
}

/** Creates a new authority, and a certificate for `localhost` signed by it, in an empty directory. */
export async function makeCertificate(directory: string): Promise<Certificate> {
  const openssl = (...words: readonly string[]) => execFileSync(binary, words, { cwd: directory, stdio: 'pipe' })
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'] as const
  openssl('req', '-x509', ...newKey, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=Driftwatch test CA')
  openssl(
    ...['req', '-x509', ...newKey, '-keyout', 'key.pem', '-out', 'cert.pem', '-subj', '/CN=localhost'],
    ...['-CA', 'ca.pem', '-CAkey', 'ca.key', '-addext', 'subjectAltName=DNS:localhost'],
    ...['-addext', 'basicConstraints=critical,CA:FALSE'],
  )
  const [ca, key, cert] = await Promise.all(
    ['ca.pem', 'key.pem', 'cert.pem'].map(file => readFile(join(directory, file), 'utf8')),
  )
  return { ca: ca ?? '', key: key ?? '', cert: cert ?? '' }
}
