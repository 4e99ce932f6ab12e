import { configSchema } from './schema.ts'
import { stackSchema } from './sections/stack.ts'

interface Schema {
  readonly type?: unknown
  readonly required?: readonly string[]
  readonly properties?: Readonly<Record<string, Schema>>
}

/**
 * The shape of a file before `defaults` are merged into its stacks, for editors. Required keys of a stack may be in
 * `defaults`, so only its name is required.
 */
export function buildEditorSchema(): object {
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

/** Lists and maps with free keys are replaced as a whole, so their required keys stay required. */
function withoutRequired({ required: _, properties, ...rest }: Schema): Schema {
  if (!properties) return rest
  const relaxed = Object.entries(properties).map(([key, value]) => [
    key,
    value.properties ? withoutRequired(value) : value,
  ])
  return { ...rest, properties: Object.fromEntries(relaxed) }
}
