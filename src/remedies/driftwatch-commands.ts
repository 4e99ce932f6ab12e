import type { Stack } from '../config/config.ts'
import { exactDuration } from '../duration.ts'
import { formatCommand } from './shell.ts'

/** Command lines of Driftwatch itself. */
export interface DriftwatchCommands {
  /** Sets the job to the image in service, executes it and checks again. */
  migrate(stack: Stack): string
  /** Deploys an image, migrates with it and checks. */
  deploy(stack: Stack, image: string, options?: { readonly noTraffic: boolean }): string
  /** Checks again, and waits at most `waitMs` for a final result. */
  check(stack: Stack, waitMs?: number): string
  /** Shows or runs the SQL that makes the privileges match the policy, or prints the policy that they match. */
  grants(action: 'plan' | 'apply' | 'snapshot', stack: Stack): string
}

/** `configFile`: the value of `--config` with which Driftwatch runs, or null; the commands carry it. */
export function driftwatchCommands(configFile: string | null): DriftwatchCommands {
  const write = (words: readonly string[], stack: Stack, ...flags: readonly string[]) =>
    formatCommand(
      'driftwatch',
      ...words,
      '--stack',
      stack.name,
      ...flags,
      ...(configFile === null ? [] : ['--config', configFile]),
    )
  return {
    migrate: stack => write(['migrate'], stack),
    deploy: (stack, image, options) =>
      write(['deploy'], stack, '--image', image, ...(options?.noTraffic ? ['--no-traffic'] : [])),
    check: (stack, waitMs) =>
      write(['check'], stack, ...(waitMs === undefined ? [] : ['--wait', exactDuration(waitMs)])),
    grants: (action, stack) => write(['grants', action], stack),
  }
}
