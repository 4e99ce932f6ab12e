import { Ajv, type Options, type ValidateFunction } from 'ajv'
import { configSchema } from '../schema.ts'
import { formats } from './formats.ts'

/** How the schema is meant to be read. */
export const ajvOptions = {
  allErrors: true,
  verbose: true,
  useDefaults: true,
  coerceTypes: true,
  allowUnionTypes: true,
  formats,
} as const satisfies Options

/**
 * What holds data against the schema of the config. Compiled when it is called, without what only costs time: the tests
 * check the schema itself. The build puts code in the place of this file that is compiled already (compile-validator.ts).
 */
export function createValidator(): ValidateFunction {
  return new Ajv({ ...ajvOptions, meta: false, validateSchema: false, code: { optimize: false } }).compile(configSchema)
}
