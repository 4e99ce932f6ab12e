import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { cleanEnvironment, root } from '../child.ts'
import type { GrantTimes } from '../role-grants.ts'
import type { Row } from '../row.ts'

export const grants: Row = {
  name: 'grants',
  title: '`role-grants`, 10,000 relations and 200 roles',
  floor: 'its catalog queries alone',
  quick: false,
  async measure() {
    const file = fileURLToPath(new URL('bench/role-grants.ts', root))
    const { stdout } = await promisify(execFile)(process.execPath, [file, '--times'], { env: cleanEnvironment() })
    const worlds = stdout
      .trim()
      .split('\n')
      .map(line => JSON.parse(line) as GrantTimes)
    return worlds.map(({ title, raw, whole }) => ({
      at: title,
      unit: 'ms',
      ours: whole,
      floor: raw,
      wanted: { kind: 'at most', ratio: 3 },
    }))
  },
}
