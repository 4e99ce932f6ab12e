import { setTimeout as delay } from 'node:timers/promises'

/** Asks again and again until there is something; what never comes ends with the test's own time. */
export async function until<T>(
  ask: () => Promise<T | null | undefined | false> | T | null | undefined | false,
): Promise<T> {
  for (;;) {
    const found = await ask()
    if (found !== null && found !== undefined && found !== false) return found
    await delay(20)
  }
}
