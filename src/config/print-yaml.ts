import { Document, isScalar, Scalar, visit } from 'yaml'
import { isPrintable } from '../printable.ts'

/** Values as YAML that people read: lists of words in one line, and what is unprintable as YAML spells it out. */
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
  // Only in double quotes is there anything of these.
  return text.replaceAll(/(?!\n)[\p{C}\p{Zl}\p{Zp}]/gu, character => {
    const code = character.codePointAt(0) ?? 0
    return code > 0xffff ? `\\U${code.toString(16).padStart(8, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`
  })
}
