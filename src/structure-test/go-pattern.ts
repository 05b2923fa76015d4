/**
 * A regular expression of Go (RE2 syntax, which container-structure-test uses) → one of JavaScript that matches the same texts. What the two do
 * not share is refused, never approximated: a pattern that means something else would be a test that passes for the wrong reason.
 */

const CLASSES: Readonly<Record<string, string>> = {
  alnum: "0-9A-Za-z",
  alpha: "A-Za-z",
  ascii: "\\x00-\\x7F",
  blank: "\\t ",
  cntrl: "\\x00-\\x1F\\x7F",
  digit: "0-9",
  graph: "!-~",
  lower: "a-z",
  print: " -~",
  punct: "!-\\/:-@\\[-`\\{-~",
  space: "\\t\\n\\v\\f\\r ",
  upper: "A-Z",
  word: "0-9A-Za-z_",
  xdigit: "0-9A-Fa-f",
};
/** What \s is in RE2; JavaScript's has more. */
const SPACE = "\\t\\n\\f\\r ";

/** A text says why it cannot be carried over. */
export function fromGoPattern(source: string): RegExp | string {
  const [head = "", given = ""] = /^\(\?([imsU]+)\)/.exec(source) ?? [];
  if (given.includes("U")) return "the flag U has no counterpart";
  const hasDotAll = given.includes("s");
  const dot = hasDotAll ? "[^]" : "[^\\n]";
  let out = "";
  let isInClass = false;
  for (let at = head.length; at < source.length; at++) {
    const rest = source.slice(at, at + 64);
    const character = source[at] ?? "";
    if (character === "\\") {
      const escaped = translateEscape(rest, source, at, isInClass);
      if (typeof escaped === "string") return escaped;
      out += escaped.text;
      at += escaped.length - 1;
    } else if (isInClass) {
      const [posix, not, name] = /^\[:(\^?)(\w+):\]/.exec(rest) ?? [];
      if (posix !== undefined) {
        const set = Object.hasOwn(CLASSES, name ?? "") ? CLASSES[name ?? ""] : undefined;
        if (set === undefined || not === "^") return `the class ${posix} has no counterpart`;
        out += set;
        at += posix.length - 1;
        continue;
      }
      if (character === "]") isInClass = false;
      // These stand for themselves in RE2 and not in a class of JavaScript.
      out += "[(){}|/".includes(character) ? `\\${character}` : character;
    } else if (character === "[") {
      isInClass = true;
      const [open = "["] = /^\[\^?\]?/.exec(rest) ?? [];
      // A bracket that comes first is a member.
      out += open.endsWith("]") ? `${open.slice(0, -1)}\\]` : open;
      at += open.length - 1;
    } else if (rest.startsWith("(?")) {
      const [group] = /^\(\?(?::|P?<[A-Za-z_]\w*>)/.exec(rest) ?? [];
      if (group === undefined) return `${rest.slice(0, 4)} has no counterpart, or none in Go`;
      out += group.replace("?P<", "?<");
      at += group.length - 1;
    } else if (character === ".") out += dot;
    else if (character === "{" && !/^\{\d+(?:,\d*)?\}/.test(rest)) out += "\\{";
    else if (character === "}" && !/\{\d+(?:,\d*)?$/.test(source.slice(Math.max(0, at - 32), at)))
      out += "\\}";
    else if (character === "]") out += "\\]";
    else out += character;
  }
  try {
    return new RegExp(out, `u${given.includes("i") ? "i" : ""}${given.includes("m") ? "m" : ""}`);
  } catch (error) {
    return error instanceof Error
      ? error.message.replace(/^Invalid regular expression: /, "")
      : String(error);
  }
}

interface Escape {
  readonly text: string;
  /** Characters of the source. */
  readonly length: number;
}

/** A text says why not. */
function translateEscape(rest: string, source: string, at: number, isInClass: boolean): Escape | string {
  const next = rest[1] ?? "";
  if (next === "") return "it ends in a backslash";
  if (next === "Q") {
    const end = source.indexOf("\\E", at);
    const literal = source.slice(at + 2, end < 0 ? source.length : end);
    return {
      text: Array.from(literal).map(quote).join(""),
      length: (end < 0 ? source.length : end + 2) - at,
    };
  }
  const [hex, digits] = /^\\x\{([0-9A-Fa-f]{1,6})\}/.exec(rest) ?? [];
  if (hex !== undefined) return { text: `\\u{${digits}}`, length: hex.length };
  const [two] = /^\\x[0-9A-Fa-f]{2}/.exec(rest) ?? [];
  if (two !== undefined) return { text: two, length: 4 };
  const [property, name] = /^\\[pP](?:\{\^?(\w+)\}|[A-Z])/.exec(rest) ?? [];
  if (property !== undefined) {
    if (property.includes("^")) return `${property} has no counterpart`;
    const script = name !== undefined && name.length > 2 ? property.replace("{", "{Script=") : property;
    return { text: script.replace(/^(\\[pP])([A-Z])$/, "$1{$2}"), length: property.length };
  }
  if (/[dDwWbBfnrtv]/.test(next)) {
    if (isInClass && /[bB]/.test(next)) return `\\${next} means nothing in a class`;
    return { text: `\\${next}`, length: 2 };
  }
  if (next === "s") return { text: isInClass ? SPACE : `[${SPACE}]`, length: 2 };
  if (next === "S" && !isInClass) return { text: `[^${SPACE}]`, length: 2 };
  if (next === "a") return { text: "\\x07", length: 2 };
  if (next === "A" && !isInClass) return { text: "(?<![^])", length: 2 };
  if (next === "z" && !isInClass) return { text: "(?![^])", length: 2 };
  const [octal] = /^\\(?:0[0-7]{0,2}|[1-7][0-7]{1,2})/.exec(rest) ?? [];
  if (octal !== undefined)
    return { text: `\\u{${Number.parseInt(octal.slice(1), 8).toString(16)}}`, length: octal.length };
  if (/[0-9A-Za-z]/.test(next)) return `\\${next} has no counterpart, or none in Go`;
  return { text: quote(next), length: 2 };
}

const quote = (character: string): string => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
