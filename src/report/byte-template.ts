/** Fixed bytes with slots of one width. */
export interface ByteTemplate {
  readonly bytes: Buffer
  /** Writes ASCII text of the slots' width into one of them. */
  fill(slot: number, text: string): void
}

/** The parts, with a slot between each and the next. */
export function createByteTemplate(parts: readonly string[], width: number): ByteTemplate {
  const bytes = Buffer.from(parts.join(' '.repeat(width)))
  const offsets: number[] = []
  let end = 0
  for (const part of parts) {
    end += Buffer.byteLength(part)
    offsets.push(end)
    end += width
  }
  return {
    bytes,
    fill(slot, text) {
      bytes.write(text, offsets[slot] ?? bytes.length, width, 'latin1')
    },
  }
}
