import { Document, isScalar, Scalar, visit } from 'yaml'
import { isPrintable } from '../printable.ts'

/** Prints values as readable YAML: lists of scalars on one line, unprintable characters escaped. */
export function printYaml(values: unknown): string {
  const document = new Document(values)
  visit(document, {
    Seq(_, list) {
      list.flow = list.items.every(isScalar)
    },
    Scalar(_, scalar) {
      if (typeof scalar.value === 'string' && !isPrintable(scalar.value)) scalar.type = Scalar.QUOTE_DOUBLE
    },
  })
  const text = document.toString({ lineWidth: 120, flowCollectionPadding: false })
  // These characters occur only in double-quoted scalars.
  return text.replaceAll(/(?!\n)[\p{C}\p{Zl}\p{Zp}]/gu, character => {
    const code = character.codePointAt(0) ?? 0
    return code > 0xffff ? `\\U${code.toString(16).padStart(8, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`
  })
}
