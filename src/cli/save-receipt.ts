import { asDriftwatchError } from '../errors.ts'
import { writeReceipt } from '../operate/receipt-file.ts'
import type { Receipt } from '../operate/rollout/receipt.ts'
import { printError, type TextStream } from './command.ts'

/** Writes the receipt after all other output. Returns the exit code: not 0 if the receipt could not be written. */
export function saveReceipt(file: string, receipt: Receipt, exitCode: number, stderr: TextStream): number {
  try {
    writeReceipt(file, receipt)
    stderr.write(`receipt: ${file}\n`)
    return exitCode
  } catch (thrown) {
    printError({ stderr }, asDriftwatchError(thrown))
    return exitCode === 0 ? 1 : exitCode
  }
}
