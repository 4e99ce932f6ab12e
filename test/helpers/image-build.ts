import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type Copy, execForm, lastOf, parseCopy, type Stage } from './dockerfile.ts'

/** What a Dockerfile makes, as directories of this machine. */
export interface BuiltImage {
  /** Stands for `/` of the image. */
  readonly root: string
  readonly workdir: string
  readonly env: Readonly<Record<string, string>>
  /** What it runs without arguments, absolute paths below `root`. */
  readonly entrypoint: readonly string[]
  readonly cmd: readonly string[]
  readonly user: number
}

/**
 * Does what the stages of a Dockerfile say, below `directory`: COPY copies, and RUN runs on this machine, with the Node.js
 * that runs the tests in place of the base image's. `allowed` tells what of `context` the build may see.
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
    // Those that do not wait for each other go on side by side, as BuildKit lets them.
    built.set(stage.name, buildStage(stage, { ...options, bin, rootOf: async name => (await built.get(name))?.root }))
  }
  const all = await Promise.all(built.values())
  const last = all.at(-1)
  if (!last) throw new Error('the Dockerfile has no stage')
  return last
}

/** A directory for the PATH that holds Node.js, readable for every user. */
function installNode(directory: string): string {
  const bin = join(directory, 'bin')
  mkdirSync(bin, { recursive: true })
  copyFileSync(process.execPath, join(bin, 'node'))
  chmodSync(join(bin, 'node'), 0o755)
  return bin
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
  const env: Record<string, string> = { PATH: `${workshop.bin}:/usr/local/bin:/usr/bin:/bin` }
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
    else if (!['USER', 'EXPOSE', 'ENTRYPOINT', 'CMD'].includes(keyword)) throw new Error(`${keyword} is not known here`)
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
    if (stage === null && !workshop.allowed.has(source)) throw new Error(`.dockerignore leaves out ${source}`)
    const path = join(from, source)
    if (!existsSync(path)) throw new Error(`there is no ${source} to copy`)
    const into = target.endsWith('/') && !statSync(path).isDirectory() ? join(target, basename(source)) : target
    cpSync(path, join(workdir, into), { recursive: true, verbatimSymlinks: true })
  }
}

async function run(command: string, cwd: string, env: Readonly<Record<string, string>>): Promise<void> {
  const child = spawn('/bin/sh', ['-c', command], {
    cwd,
    env: { ...registryEnv(), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [output, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  if (code !== 0) throw new Error(`RUN ${command} ended with ${code}:\n${output}${errors}`)
}

/** Where packages come from, and nothing else that npm told the tests: they are run by npm themselves. */
function registryEnv(): Record<string, string> {
  const wanted =
    /^(HOME|NODE_EXTRA_CA_CERTS|(https?|no)_proxy|npm_config_(registry|userconfig|globalconfig|cache|cafile))$/i
  return Object.fromEntries(
    Object.entries(process.env).filter((entry): entry is [string, string] => wanted.test(entry[0])),
  )
}
