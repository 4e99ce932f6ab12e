import { configSchema } from './schema.ts'
import { stackSchema } from './sections/stack.ts'

interface Schema {
  readonly type?: unknown
  readonly required?: readonly string[]
  readonly properties?: Readonly<Record<string, Schema>>
}

/**
 * The shape of a file before `defaults` are merged into its stacks, as editors check it: what a stack must have may stand
 * in either place, so that only its name is required.
 */
export function fileSchema(): object {
  const stack = withoutRequired(stackSchema)
  const { name: _, ...shared } = stack.properties ?? {}
  const { description } = configSchema.properties.defaults
  return {
    ...configSchema,
    properties: {
      ...configSchema.properties,
      defaults: { ...stack, description, properties: shared },
      stacks: { ...configSchema.properties.stacks, items: { ...stack, required: ['name'] } },
    },
  }
}

/** What stands in lists and under free keys is replaced as a whole, and keeps what it requires. */
function withoutRequired({ required: _, properties, ...rest }: Schema): Schema {
  if (!properties) return rest
  const relaxed = Object.entries(properties).map(([key, value]) => [
    key,
    value.properties ? withoutRequired(value) : value,
  ])
  return { ...rest, properties: Object.fromEntries(relaxed) }
}
