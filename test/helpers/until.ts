import { setTimeout as delay } from 'node:timers/promises'

/** Polls until there is a value. The timeout of the test is the limit. */
export async function until<T>(
  ask: () => Promise<T | null | undefined | false> | T | null | undefined | false,
): Promise<T> {
  for (;;) {
    const found = await ask()
    if (found !== null && found !== undefined && found !== false) return found
    await delay(20)
  }
}
