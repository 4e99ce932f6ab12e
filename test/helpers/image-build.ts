import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type Copy, execForm, lastOf, parseCopy, type Stage } from './dockerfile.ts'

/** For `env`: removes the loader that tap passes to child processes. */
export const withoutCoverage = ['-u', 'NODE_OPTIONS']

/** The image that a Dockerfile builds, as directories of this machine. */
export interface BuiltImage {
  /** The directory of `/` of the image. */
  readonly root: string
  readonly workdir: string
  readonly env: Readonly<Record<string, string>>
  /** The command without arguments, with absolute paths below `root`. */
  readonly entrypoint: readonly string[]
  readonly cmd: readonly string[]
  readonly user: number
}

/**
 * Builds the stages of a Dockerfile below `directory`: COPY copies, and RUN runs on this machine, with the Node.js
 * of the tests instead of the base image's. `allowed` selects the files of `context` that the build can see.
 */
export async function buildImage(options: {
  readonly stages: readonly Stage[]
  readonly context: string
  readonly allowed: ReadonlySet<string>
  readonly directory: string
}): Promise<BuiltImage> {
  const { stages, directory } = options
  const bin = installNode(directory)
  const built = new Map<string, Promise<BuiltImage>>()
  for (const stage of stages) {
    // Independent stages run concurrently, as in BuildKit.
    built.set(stage.name, buildStage(stage, { ...options, bin, rootOf: async name => (await built.get(name))?.root }))
  }
  const all = await Promise.all(built.values())
  const last = all.at(-1)
  if (!last) throw new Error('the Dockerfile has no stage')
  return last
}

/** A directory with Node.js for the PATH, readable for every user. */
function installNode(directory: string): string {
  const bin = join(directory, 'bin')
  mkdirSync(bin, { recursive: true })
  copyFileSync(process.execPath, join(bin, 'node'))
  chmodSync(join(bin, 'node'), 0o755)
  return bin
}

/** The PATH with npm and the shell, without the packages of the tests. */
function systemPath(): string[] {
  return (process.env.PATH ?? '').split(':').filter(directory => !directory.includes('node_modules'))
}

interface Workshop {
  readonly context: string
  readonly allowed: ReadonlySet<string>
  readonly directory: string
  readonly bin: string
  rootOf(stage: string): Promise<string | undefined>
}

async function buildStage(stage: Stage, workshop: Workshop): Promise<BuiltImage> {
  const root = join(workshop.directory, `stage-${stage.name}`)
  const env: Record<string, string> = { PATH: [workshop.bin, ...systemPath()].join(':') }
  let workdir = root
  for (const { keyword, rest } of stage.instructions) {
    if (keyword === 'WORKDIR') {
      workdir = join(root, rest)
      mkdirSync(workdir, { recursive: true })
    } else if (keyword === 'ENV') {
      const [name = '', value = ''] = rest.split('=')
      env[name] = value
    } else if (keyword === 'COPY') await copy(parseCopy(rest), workdir, workshop)
    else if (keyword === 'RUN') await run(rest, workdir, env)
    else if (!['USER', 'EXPOSE', 'ENTRYPOINT', 'CMD'].includes(keyword)) throw new Error(`${keyword} is not supported`)
  }
  const mapped = (words: readonly string[]) => words.map(word => (word.startsWith('/') ? join(root, word) : word))
  return {
    root,
    workdir,
    env,
    entrypoint: mapped(execForm(lastOf(stage, 'ENTRYPOINT'))),
    cmd: mapped(execForm(lastOf(stage, 'CMD'))),
    user: Number(lastOf(stage, 'USER') ?? 0),
  }
}

async function copy({ stage, sources, target }: Copy, workdir: string, workshop: Workshop): Promise<void> {
  const from = stage === null ? workshop.context : await workshop.rootOf(stage)
  if (from === undefined) throw new Error(`there is no stage ${stage}`)
  for (const source of sources) {
    if (stage === null && !workshop.allowed.has(source)) throw new Error(`.dockerignore excludes ${source}`)
    const path = join(from, source)
    if (!existsSync(path)) throw new Error(`there is no ${source} to copy`)
    const into = target.endsWith('/') && !statSync(path).isDirectory() ? join(target, basename(source)) : target
    cpSync(path, join(workdir, into), { recursive: true, verbatimSymlinks: true })
  }
}

async function run(command: string, cwd: string, env: Readonly<Record<string, string>>): Promise<void> {
  const child = spawn('env', [...withoutCoverage, '/bin/sh', '-c', command], {
    cwd,
    env: { ...registryEnv(), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [output, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  if (code !== 0) throw new Error(`RUN ${command} ended with ${code}:\n${output}${errors}`)
}

/** The registry settings of npm, without the other variables that npm sets for the tests. */
function registryEnv(): Record<string, string> {
  const wanted =
    /^(HOME|NODE_EXTRA_CA_CERTS|(https?|no)_proxy|npm_config_(registry|userconfig|globalconfig|cache|cafile))$/i
  return Object.fromEntries(
    Object.entries(process.env).filter((entry): entry is [string, string] => wanted.test(entry[0])),
  )
}
