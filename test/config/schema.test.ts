import { Ajv } from 'ajv'
import t from 'tap'
import { generatedFiles } from '../../docs/generate.ts'
import { ajvOptions } from '../../src/config/file/validator.ts'
import { configSchema } from '../../src/config/schema.ts'
import { read } from '../helpers/config-text.ts'

t.test('generated files are up to date', async t => {
  for (const [path, text] of generatedFiles()) t.equal(read(path), text, `${path} is current (npm run docs)`)
})

t.test('the schema is valid, rejects unknown keys, and describes every key', async t => {
  t.doesNotThrow(() => new Ajv({ ...ajvOptions, strict: true }).compile(configSchema))
  const faults: string[] = []
  const inspectSchema = (schema: Record<string, unknown>, path: string) => {
    if (schema.properties && schema.additionalProperties !== false) faults.push(`${path} is open`)
    for (const [key, value] of Object.entries((schema.properties ?? {}) as Record<string, Record<string, unknown>>)) {
      if (typeof value.description !== 'string' || !value.description.endsWith('.')) faults.push(`${path}.${key}`)
      inspectSchema(value, `${path}.${key}`)
    }
    for (const inner of [schema.items, schema.additionalProperties]) {
      if (typeof inner === 'object') inspectSchema(inner as Record<string, unknown>, `${path}[]`)
    }
  }
  inspectSchema(configSchema, '')
  t.strictSame(faults, [])
})
