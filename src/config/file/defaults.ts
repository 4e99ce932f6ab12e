import type { ConfigPath, Problem } from '../problem.ts'
import { stackSchema } from '../sections/stack.ts'

/** The data of a file with its `defaults` merged into every stack. */
export interface MergedDefaults {
  /** The file's data. If `defaults` are used, `stacks` has one more stack at the end with only their values. */
  readonly data: unknown
  /** How many stacks the file lists. */
  readonly listed: number
  /** Maps a path of `data` to its path in the file. */
  origin(path: ConfigPath): ConfigPath
  /** Maps a path of the file to its paths in `data`: a default occurs in every stack. */
  spread(path: ConfigPath): ConfigPath[]
  readonly problems: readonly Problem[]
}

type Tree = Readonly<Record<string, unknown>>

/** Valid values for required keys that `defaults` do not set. */
const placeholder = {
  name: 'stack',
  project: 'project',
  region: 'region',
  service: { name: 'service' },
  job: { name: 'job' },
} as const

/** Merges `defaults` into every stack, map by map. Keys of the stack take precedence. */
export function mergeDefaults(data: unknown): MergedDefaults {
  const { defaults, discover, stacks = [] } = isTree(data) ? data : {}
  const used = isTree(data) && Array.isArray(stacks) && (isTree(defaults) || Array.isArray(discover))
  if (!used) {
    const listed = Array.isArray(stacks) ? stacks.length : 0
    return { data, listed, origin: path => path, spread: path => [path], problems: [] }
  }
  const shared = isTree(defaults) ? defaults : {}
  const specimen = withoutUnfinished(merge(shared, placeholder), placeholder)
  const merged = [...stacks.map(own => (isTree(own) ? withoutUnfinished(merge(own, shared), own) : own)), specimen]
  const fromDefaults = (path: ConfigPath) => ['defaults', ...path.slice(2)]
  return {
    data: { ...data, stacks: merged },
    listed: stacks.length,
    origin(path) {
      const [top, index] = path
      if (top !== 'stacks' || typeof index !== 'number') return path
      if (index === stacks.length) return fromDefaults(path)
      return !has(data, path) && has(data, fromDefaults(path)) ? fromDefaults(path) : path
    },
    spread: path => (path[0] === 'defaults' ? merged.map((_, index) => ['stacks', index, ...path.slice(1)]) : [path]),
    problems: 'name' in shared ? [unsharedName] : [],
  }
}

const unsharedName: Problem = {
  path: ['defaults', 'name'],
  at: 'key',
  message: 'not allowed in `defaults`: each stack needs its own name',
}

/** Whether the key is refused where `path`, a path of the file, lies: directly in `defaults`. */
export function isUnshared(path: ConfigPath, key: string): boolean {
  return path.length === 2 && path[0] === 'defaults' && key === 'name'
}

/** Omits a key that the stack does not set if `defaults` do not set all its required keys. */
function withoutUnfinished(merged: Tree, own: Tree): Tree {
  return Object.fromEntries(Object.entries(merged).filter(([key, part]) => key in own || isFinished(key, part)))
}

function isFinished(key: string, part: unknown): boolean {
  const schemas: Readonly<Record<string, { readonly type: string; readonly required?: readonly string[] }>> =
    stackSchema.properties
  return !isTree(part) || (schemas[key]?.required ?? []).every(required => required in part)
}

function merge(own: Tree, shared: Tree): Tree {
  const merged = Object.entries(own).map(([key, value]) => {
    const other = Object.hasOwn(shared, key) ? shared[key] : undefined
    return [key, isTree(value) && isTree(other) ? merge(value, other) : value]
  })
  return { ...shared, ...Object.fromEntries(merged) }
}

function has(data: unknown, path: ConfigPath): boolean {
  const [step, ...rest] = path
  if (step === undefined) return true
  if (typeof data !== 'object' || data === null || !Object.hasOwn(data, step)) return false
  return has((data as Readonly<Record<string | number, unknown>>)[step], rest)
}

function isTree(value: unknown): value is Tree {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
