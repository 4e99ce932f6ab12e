import { Ajv, type Options, type ValidateFunction } from 'ajv'
import { configSchema } from '../schema.ts'
import { formats } from './formats.ts'

/** The options that the build's compiled validator and `createValidator` share. */
export const ajvOptions = {
  allErrors: true,
  verbose: true,
  useDefaults: true,
  coerceTypes: true,
  allowUnionTypes: true,
  formats,
} as const satisfies Options

/**
 * Compiles the validator of the config schema. Skips the validation of the schema itself, which the tests do. The build
 * replaces this file by compiled code (compile-validator.ts).
 */
export function createValidator(): ValidateFunction {
  return new Ajv({ ...ajvOptions, meta: false, validateSchema: false, code: { optimize: false } }).compile(configSchema)
}
