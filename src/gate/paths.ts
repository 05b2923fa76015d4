/** Paths as text: reports name files relative to where the check runs, so that the same finding has the same place everywhere. Pure. */

/** `path` seen from `directory`, both without looking at the disk; an absolute path stays. */
export function joinPath(directory: string, path: string): string {
  const joined = path.startsWith("/") || directory === "" ? path : `${directory}/${path}`;
  const out: string[] = [];
  for (const part of joined.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === ".." && out.length > 0 && out.at(-1) !== "..") out.pop();
    else if (part !== ".." || !joined.startsWith("/")) out.push(part);
  }
  const text = out.join("/");
  return joined.startsWith("/") ? `/${text}` : text === "" ? "." : text;
}

/** Everything before the last component; "" for a name alone. */
export function directoryOf(path: string): string {
  const at = path.lastIndexOf("/");
  return at === -1 ? "" : at === 0 ? "/" : path.slice(0, at);
}

/** `file` relative to `base` when it lies below it, otherwise cleaned of detours only. */
export function relativeTo(base: string, file: string): string {
  const clean = joinPath("", file);
  const root = base.endsWith("/") ? base : `${base}/`;
  return clean.startsWith(root) ? clean.slice(root.length) : clean;
}

/** Below the directory that the check runs in: what code hosts can show beside the code. */
export function isInside(file: string): boolean {
  return !file.startsWith("/") && file !== ".." && !file.startsWith("../");
}

/**
 * A pattern with `*` (anything but "/") and `**` (anything); all else is literal. Takes time in proportion to both lengths, whoever wrote them: no
 * backtracking.
 */
export function matchesPattern(pattern: string, text: string): boolean {
  const parts = pattern
    .split(/(\*\*|\*)/)
    .flatMap((part) => (part.startsWith("*") ? [part] : Array.from(part)));
  const characters = Array.from(text);
  // Which beginnings of the text the pattern so far matches, by their length.
  let reached = [true, ...characters.map(() => false)];
  for (const part of parts) {
    const next = [part.startsWith("*") && reached[0] === true];
    for (const [at, character] of characters.entries()) {
      const literal = part === character && reached[at] === true;
      const wild =
        part.startsWith("*") &&
        (reached[at + 1] === true || (next[at] === true && (part === "**" || character !== "/")));
      next.push(part.startsWith("*") ? wild : literal);
    }
    reached = next;
  }
  return reached.at(-1) === true;
}
