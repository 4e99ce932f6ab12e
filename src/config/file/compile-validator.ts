import { writeFileSync } from 'node:fs'
import { _, Ajv } from 'ajv'
import standalone from 'ajv/dist/standalone/index.js'
import { configSchema } from '../schema.ts'
import { ajvOptions } from './validator.ts'

// The last step of the build: replaces `validator.js` by the compiled schema. Compiling it at startup would take a tenth
// of the time of a command.
const ajv = new Ajv({ ...ajvOptions, code: { source: true, esm: true, formats: _`require("./formats.js").formats` } })
const code = standalone.default(ajv, ajv.compile(configSchema))
const lines = [
  "import { createRequire } from 'node:module'",
  'const require = createRequire(import.meta.url)',
  code,
  'export const createValidator = () => validate',
  '',
]
writeFileSync(new URL('validator.js', import.meta.url), lines.join('\n'))
