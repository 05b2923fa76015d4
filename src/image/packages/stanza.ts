/**
 * Paragraphs of fields, as Debian control files have them (deb822(5)): `Name: value`, continued by lines that begin with a blank; paragraphs
 * are separated by empty lines. Names are compared without regard to case.
 */
export type Stanza = ReadonlyMap<string, string>;

export function parseStanzas(text: string): readonly Stanza[] {
  const stanzas: Stanza[] = [];
  let fields = new Map<string, string>();
  let last = "";
  const finish = (): void => {
    if (fields.size > 0) stanzas.push(fields);
    fields = new Map();
    last = "";
  };
  for (const line of text.split("\n")) {
    if (line === "" || line === "\r") finish();
    else if (line.startsWith(" ") || line.startsWith("\t")) {
      if (last !== "") fields.set(last, `${fields.get(last) ?? ""}\n${line.trim()}`);
    } else {
      const colon = line.indexOf(":");
      if (colon <= 0) continue;
      last = line.slice(0, colon).toLowerCase();
      fields.set(last, line.slice(colon + 1).trim());
    }
  }
  finish();
  return stanzas;
}
