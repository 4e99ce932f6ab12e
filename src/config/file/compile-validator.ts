import { writeFileSync } from 'node:fs'
import { _, Ajv } from 'ajv'
import standalone from 'ajv/dist/standalone/index.js'
import { configSchema } from '../schema.ts'
import { ajvOptions } from './validator.ts'

// The last step of the build: `validator.js` beside this file becomes the validator, compiled. Compiling it at each start
// costs a command a tenth of its time.
const ajv = new Ajv({ ...ajvOptions, code: { source: true, esm: true, formats: _`require("./formats.js").formats` } })
const code = standalone.default(ajv, ajv.compile(configSchema))
writeFileSync(
  new URL('validator.js', import.meta.url),
  `import { createRequire } from 'node:module'
const require = createRequire(import.meta.url)
${code}
export const createValidator = () => validate
`,
)
