import { closeSync, openSync, readSync } from 'node:fs'
import { DriftwatchError } from '../errors.ts'
import { shown } from '../printable.ts'
import type { Config } from './config.ts'
import type { Environment } from './environment.ts'
import { findCrossFieldProblems } from './file/cross-field-rules.ts'
import { mergeDefaults } from './file/defaults.ts'
import type { Variables } from './file/interpolate.ts'
import { resolve } from './file/resolve.ts'
import { validate } from './file/validate.ts'
import { readYaml, type YamlSource } from './file/yaml-source.ts'
import { maskText } from './mask.ts'
import { formatPath, indexProblems, type Problem } from './problem.ts'

/** In bytes; a thousand stacks need less. */
const maxFileBytes = 1024 * 1024

/** Further problems are only counted. */
const maxProblems = 100

/** The config file, and the variables that it may refer to. */
export interface ConfigOrigin {
  readonly file: string
  readonly environment: Pick<Environment, 'variables'>
}

/** Loads the config file; throws CONFIG_UNREADABLE, or CONFIG_INVALID with one line for each problem. */
export function loadConfig({ file, environment }: ConfigOrigin): Config {
  return parseConfig(readText(file), file, environment.variables)
}

/** Parses the text of a config file; throws CONFIG_INVALID with each problem as `file:line:column path: message`. */
export function parseConfig(text: string, fileName: string, variables: Variables): Config {
  const source = readYaml(text, variables)
  if (source.data === null) throw invalid(fileName, source, source.problems)
  const merged = mergeDefaults(source.data)
  const { file, problems } = validate(merged, path => source.written(merged.origin(path)))
  const syntax = source.problems.flatMap(problem => merged.spread(problem.path).map(path => ({ ...problem, path })))
  const { isThere } = indexProblems(syntax)
  const shape = problems.filter(({ path }) => isThere(path))
  const known = [...merged.problems, ...syntax, ...shape]
  const all = [...known, ...findCrossFieldProblems(file, known, merged.listed)]
  const inFile = all.map(problem => ({ ...problem, path: merged.origin(problem.path) }))
  if (inFile.length > 0) throw invalid(fileName, source, inFile)
  return resolve(file, merged.listed)
}

function invalid(fileName: string, source: YamlSource, problems: readonly Problem[]): DriftwatchError {
  // A problem in `defaults` occurs in every stack: reported once.
  const unique = new Map(
    problems.map(problem => [shown(`${maskText(formatPath(problem.path))}: ${problem.message}`), problem]),
  )
  const lines = [...unique]
    .slice(0, maxProblems)
    .map(([text, problem]) => ({ ...source.position(problem), text }))
    .sort((a, b) => a.line - b.line || a.column - b.column)
    .map(({ line, column, text }) => `${fileName}:${line}:${column} ${text.replace(/^: /, '')}`)
  const omitted = unique.size - maxProblems
  if (omitted > 0) lines.push(`${fileName}: ${omitted} more problems`)
  return new DriftwatchError('CONFIG_INVALID', lines.join('\n'))
}

/** Reads the text of the config file; throws CONFIG_UNREADABLE. */
export function readText(file: string): string {
  const unreadable = (reason: string, cause?: unknown) =>
    new DriftwatchError('CONFIG_UNREADABLE', `cannot read the configuration file ${file}: ${reason}`, { cause })
  let bytes: Buffer
  try {
    bytes = readBytes(file)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
    throw unreadable(reasons[code] ?? `${code}. ${remedy}`, error)
  }
  if (bytes.length > maxFileBytes) throw unreadable('it is larger than 1 MiB')
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw unreadable('it is not UTF-8 text', error)
  }
}

const remedy = 'Use --config FILE or DRIFTWATCH_CONFIG to select another file.'

const reasons: Readonly<Record<string, string>> = {
  ENOENT: `no such file. ${remedy}`,
  EISDIR: `it is a directory. ${remedy}`,
  EACCES: 'permission denied. Give the user that runs Driftwatch read access.',
}

/** Reads at most one byte more than allowed, because the file may be a never-ending pipe or device. */
function readBytes(file: string): Buffer {
  const buffer = Buffer.alloc(maxFileBytes + 1)
  const descriptor = openSync(file, 'r')
  try {
    let length = 0
    for (let read = -1; read !== 0 && length < buffer.length; length += read) {
      read = readSync(descriptor, buffer, length, buffer.length - length, null)
    }
    return buffer.subarray(0, length)
  } finally {
    closeSync(descriptor)
  }
}
