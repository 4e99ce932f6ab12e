import { isDeepStrictEqual } from 'node:util'
import type { Message } from './store.ts'

/** Runs the migration program of an image, by its digest; rejects if it fails. */
export type Migrate = (digest: string) => Promise<void>

/** The task of an execution; the exit code is null while it runs. */
export interface Task {
  readonly exitCode: number | null
}

/** Only the command `runtime-migrate` without arguments migrates; other programs do nothing. */
export function startTask(template: Message, digestOf: (image: string) => string | null, migrate: Migrate): Task {
  const task: { exitCode: number | null } = { exitCode: null }
  const migrations = (template.containers as Message[])
    .filter(({ command, args }) => isDeepStrictEqual([command, args ?? []], [['runtime-migrate'], []]))
    .flatMap(({ image }) => digestOf(String(image)) ?? [])
  Promise.all(migrations.map(migrate)).then(
    () => {
      task.exitCode = 0
    },
    () => {
      task.exitCode = 1
    },
  )
  return task
}
