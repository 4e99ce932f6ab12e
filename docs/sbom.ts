/** `npm run sbom`: a CycloneDX bill of materials. `npm sbom` omits shipped packages that are also used in development. */
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type ShippedPackage, shippedPackages } from './licenses.ts'

function component({ name, version, license, sha512 }: ShippedPackage): object {
  const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`
  return {
    type: 'library',
    'bom-ref': purl,
    name,
    version,
    purl,
    licenses: [{ expression: license }],
    hashes: [{ alg: 'SHA-512', content: sha512 }],
  }
}

const { name, version, license } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))

console.log(
  JSON.stringify(
    {
      bomFormat: 'CycloneDX',
      specVersion: '1.5',
      serialNumber: `urn:uuid:${randomUUID()}`,
      version: 1,
      metadata: {
        timestamp: new Date().toISOString(),
        component: {
          type: 'application',
          'bom-ref': `${name}@${version}`,
          name,
          version,
          licenses: [{ license: { id: license } }],
        },
      },
      components: shippedPackages().map(component),
    },
    null,
    2,
  ),
)
