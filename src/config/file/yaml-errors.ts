/** The messages of the YAML parser in plain words. They quote nothing from the file, which may be secret. */
const plainMessages: readonly (readonly [RegExp, string])[] = [
  [/^Tabs are not allowed/, 'a tab indents this line. Indent with spaces.'],
  [/^Nested mappings/, 'a second key on one line. Write each key on its own line, or quote the value.'],
  [/^Implicit keys need to be on a single line/, 'a key spans several lines. Write `key: value` on one line.'],
  [/^Implicit map keys need/, 'this line has no colon. Write `key: value`, or `- value` in a list.'],
  [
    /^All mapping items must start/,
    'the indentation differs from the lines above. Align the keys of one level, and begin each item of a list with `- `.',
  ],
  [
    /^Sequence item without/,
    'this line is inside a list and does not start with `- `. Add it, or correct the indentation.',
  ],
  [/^Missing closing "/, 'a double quote is not closed. Add the closing quote.'],
  [/^Missing closing '/, 'a single quote is not closed. Add the closing quote.'],
  [/^Flow sequence/, 'a list that begins with [ is not closed, or its ] is not indented.'],
  [/^Flow map/, 'a map that begins with { is not closed, or its } is not indented.'],
  [/ in flow /, 'something is wrong between brackets. Check the commas and brackets.'],
  [/^Plain value cannot start/, 'a value cannot start with this character. Quote the value.'],
  [/^Block scalar header/, 'there is text after | or >. Write the text on the next lines.'],
  [/^Comments must be separated/, 'a comment needs a space before #.'],
  [/escape sequence/, 'an unknown escape sequence between double quotes. Use single quotes, or double the backslash.'],
  [/^Unsupported YAML version|directive/i, 'an unknown YAML directive. Remove the line that begins with %.'],
  [/^Unexpected/, 'unexpected text. Check brackets, indentation and quotes.'],
]

/** What is wrong, from the code and message of the parser. */
export function describeYamlError(code: string, message: string): string {
  if (code === 'MULTIPLE_DOCS') return 'a second YAML document starts here: expected only one'
  if (code === 'RESOURCE_EXHAUSTION') return 'invalid YAML: nested too deeply'
  const [, plain] = plainMessages.find(([pattern]) => pattern.test(message)) ?? []
  return `invalid YAML: ${plain ?? message.replace(/(?<=\S): .*$/s, '')}`
}
