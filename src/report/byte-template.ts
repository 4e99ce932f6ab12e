/** Bytes that stay as they are but for holes of one width, which are filled anew. */
export interface ByteTemplate {
  readonly bytes: Buffer
  /** Writes a text of ASCII, as long as the hole is wide, into one of the holes. */
  fill(slot: number, text: string): void
}

/** The parts with a hole between each and the next. */
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
