import { PassThrough } from 'node:stream'

/** A stream for a log, and the lines written to it. */
export interface LogLines {
  readonly stream: PassThrough
  lines(): Record<string, unknown>[]
}

export function captureLog(): LogLines {
  const stream = new PassThrough()
  let text = ''
  stream.on('data', chunk => {
    text += chunk
  })
  const lines = () => text.split('\n').filter(line => line !== '')
  return { stream, lines: () => lines().map(line => JSON.parse(line)) }
}
