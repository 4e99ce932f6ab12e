import { asDriftwatchError } from '../errors.ts'
import { type Receipt, writeReceipt } from '../operate/rollout/receipt.ts'
import type { TextStream } from './command.ts'

/**
 * Writes the receipt when everything else is told; the exit code of it all. Where it cannot be written any more, that is
 * said beside the outcome, and is no success.
 */
export function keepReceipt(file: string, receipt: Receipt, exitCode: number, stderr: TextStream): number {
  try {
    writeReceipt(file, receipt)
    stderr.write(`receipt: ${file}\n`)
    return exitCode
  } catch (thrown) {
    stderr.write(`driftwatch: ${asDriftwatchError(thrown).message}\n`)
    return exitCode === 0 ? 1 : exitCode
  }
}
