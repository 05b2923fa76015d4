/**
 * Takes the text of /proc/PID/mountinfo, gives one record per mount (proc_pid_mountinfo(5)). Pure.
 */
export interface MountRecord {
  readonly id: number;
  readonly parent: number;
  /** Directory of the filesystem that forms the root of this mount. */
  readonly root: string;
  /** Mount point, relative to the reader's root. */
  readonly target: string;
  readonly options: readonly string[];
  readonly fsType: string;
  readonly superOptions: readonly string[];
}

/** Lines that are not as proc_pid_mountinfo(5) says are left out. */
export function parseMountinfo(text: string): readonly MountRecord[] {
  const records: MountRecord[] = [];
  for (const line of text.split("\n")) {
    const fields = line.split(" ");
    // The optional fields between the options and the separator vary in number.
    const separator = fields.indexOf("-", 6);
    const [id, parent, , root, target, options] = fields;
    if (separator < 0 || root === undefined || target === undefined || options === undefined) continue;
    records.push({
      id: Number(id),
      parent: Number(parent),
      root: unescapeOctal(root),
      target: unescapeOctal(target),
      options: options.split(","),
      fsType: fields[separator + 1] ?? "",
      superOptions: (fields[separator + 3] ?? "").split(","),
    });
  }
  return records;
}

/** The kernel writes space, tab, newline and backslash in paths as three octal digits. */
export function unescapeOctal(text: string): string {
  return text.includes("\\")
    ? text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)))
    : text;
}
