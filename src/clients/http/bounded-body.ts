/** All of a body, or null where it is longer than `longest` bytes: then no more of it is read, and its connection ends. */
export async function readBounded(
  body: AsyncIterable<Uint8Array> | null,
  longest: number,
): Promise<Buffer<ArrayBuffer> | null> {
  const chunks: Uint8Array[] = []
  let length = 0
  // Leaving the loop cancels the rest.
  for await (const chunk of body ?? []) {
    length += chunk.byteLength
    if (length > longest) return null
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
