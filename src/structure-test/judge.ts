/**
 * Structure tests × an image → those that it does not pass. Paths are looked up as a process in the container would, never on this machine.
 * A regular expression that needs too long for a text (the text is the image's, and may be made for that) fails its test.
 */
import { createContext, Script } from "node:vm";
import type { ImageConfig } from "../image/formats/config.ts";
import type { Image } from "../image/read-image.ts";
import type { Inode, Tree } from "../image/tree/tree.ts";
import type {
  ContentTest,
  ExistenceTest,
  MetadataTest,
  Pattern,
  StructureFailure,
  StructureTests,
} from "./structure-test.ts";

/** Milliseconds for one regular expression over one text, and for all that needed so long. */
const PATIENCE = 1000;
const ALL_PATIENCE = 10_000;

/** Paths whose bytes have to be kept while an image is read: those of the content tests, and where links lead to in `image`. */
export function wantedPaths(tests: StructureTests, image: Image | null): ReadonlySet<string> {
  const env = image?.source?.config?.env ?? [];
  return new Set(
    tests.content.flatMap(({ path }) => {
      const plain = path
        .split("/")
        .filter((part) => part !== "" && part !== ".")
        .join("/");
      const real = image?.tree.resolve(substitute(path, env))?.path;
      return real === undefined ? [plain] : [plain, real];
    }),
  );
}

/** Whether a content test asks for a file whose bytes were not kept, because its name was not known before. */
export function needsAnotherReading(tests: StructureTests, image: Image): boolean {
  const wanted = wantedPaths(tests, null);
  return tests.content.some(({ path }) => {
    const found = image.tree.resolve(substitute(path, image.source?.config?.env ?? []));
    const content = found?.node.inode.content;
    if (found === null || content === null || content === undefined) return false;
    return (
      content.kind !== "empty" && content.bytes === null && content.gap === null && !wanted.has(found.path)
    );
  });
}

export function judgeStructure(tests: StructureTests, image: Image): readonly StructureFailure[] {
  const config = image.source?.config ?? null;
  const matcher = new Matcher();
  return [
    ...tests.existence.flatMap((test) => judgeExistence(test, image.tree, config)),
    ...tests.content.flatMap((test) => judgeContent(test, image.tree, config, matcher)),
    ...tests.metadata.flatMap((test) => judgeMetadata(test, config, matcher)),
  ];
}

/** How many tests there are: the fields of a metadata test count each. */
export const countTests = ({ existence, content, metadata }: StructureTests): number =>
  existence.length + content.length + metadata.length;

/** `$NAME` and `${NAME}` of the image's environment, as that tool does it in paths. */
function substitute(path: string, env: readonly string[]): string {
  return path.replaceAll(/\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))/g, (_, braced?: string, bare?: string) => {
    const name = braced ?? bare ?? "";
    return env.findLast((one) => one.startsWith(`${name}=`))?.slice(name.length + 1) ?? "";
  });
}

function judgeExistence(
  test: ExistenceTest,
  tree: Tree,
  config: ImageConfig | null,
): readonly StructureFailure[] {
  const path = substitute(test.path, config?.env ?? []);
  // The file itself: a link is judged as a link.
  const inode = tree.resolve(path, false)?.node.inode;
  const failures: StructureFailure[] = [];
  const fail = (what: string, message: string): void => {
    failures.push({
      part: "files",
      object: `${test.name}: ${what}`,
      message: `${test.name}: ${message}`,
      place: test.place,
    });
  };
  if (inode === undefined) {
    if (test.shouldExist) fail("exists", `${path} does not exist`);
    return failures;
  }
  if (!test.shouldExist) {
    fail("does not exist", `${path} exists, and should not`);
    return failures;
  }
  const { permissions, uid, gid, isExecutableBy } = test;
  const forms = [goMode(inode), listMode(inode)];
  if (permissions !== null && !forms.includes(permissions))
    fail(
      "permissions",
      `${path} has the permissions ${[...new Set(forms)].join(" or ")}, not ${permissions}`,
    );
  if (uid !== null && inode.uid !== uid) fail("uid", `${path} belongs to user ${inode.uid}, not ${uid}`);
  if (gid !== null && inode.gid !== gid) fail("gid", `${path} belongs to group ${inode.gid}, not ${gid}`);
  if (isExecutableBy !== null && (inode.mode & EXECUTE[isExecutableBy]) === 0)
    fail("isExecutableBy", `${path} cannot be executed by ${isExecutableBy} (${listMode(inode)})`);
  return failures;
}

const EXECUTE = { owner: 0o100, group: 0o010, other: 0o001, any: 0o111 } as const;

/** A link's own bits mean nothing, and are shown as all of them (symlink(7)). */
const modeOf = ({ type, mode }: Inode): number => (type === "symlink" ? 0o777 : mode);

const nineBits = (mode: number): string =>
  [...Array(9).keys()].map((bit) => ((mode >> (8 - bit)) & 1 ? "rwx"[bit % 3] : "-")).join("");

/** As Go's os.FileMode writes it: letters for what is special, then the nine bits. */
function goMode(inode: Inode): string {
  const { type } = inode;
  const mode = modeOf(inode);
  const letters = {
    directory: "d",
    symlink: "L",
    character: "Dc",
    block: "D",
    fifo: "p",
    file: "",
  }[type];
  const special = `${mode & 0o4000 ? "u" : ""}${mode & 0o2000 ? "g" : ""}${mode & 0o1000 ? "t" : ""}`;
  // Go has "c" after the set-id letters, and "t" last.
  const all = Array.from(`${letters}${special}`)
    .toSorted((a, b) => "dalTLDpSugct".indexOf(a) - "dalTLDpSugct".indexOf(b))
    .join("");
  return `${all === "" ? "-" : all}${nineBits(mode)}`;
}

/** As ls(1) writes it. */
function listMode(inode: Inode): string {
  const { type } = inode;
  const mode = modeOf(inode);
  const first = { directory: "d", symlink: "l", character: "c", block: "b", fifo: "p", file: "-" }[type];
  const bits = Array.from(nineBits(mode));
  for (const [bit, at, letter] of [
    [0o4000, 2, "s"],
    [0o2000, 5, "s"],
    [0o1000, 8, "t"],
  ] as const)
    if (mode & bit) bits[at] = bits[at] === "x" ? letter : letter.toUpperCase();
  return `${first}${bits.join("")}`;
}

function judgeContent(
  test: ContentTest,
  tree: Tree,
  config: ImageConfig | null,
  matcher: Matcher,
): readonly StructureFailure[] {
  const path = substitute(test.path, config?.env ?? []);
  const fail = (what: string, message: string): StructureFailure => ({
    part: "contents",
    object: `${test.name}: ${what}`,
    message: `${test.name}: ${message}`,
    place: test.place,
  });
  const inode = tree.resolve(path)?.node.inode;
  if (inode === undefined) return [fail("content", `${path} does not exist`)];
  if (inode.type !== "file") return [fail("content", `${path} is a ${inode.type}, not a file`)];
  const { content } = inode;
  const bytes = content?.kind === "empty" ? Buffer.alloc(0) : (content?.bytes ?? null);
  if (bytes === null)
    return [fail("content", `${path} cannot be looked into: ${content?.gap ?? "it was not kept"}`)];
  const text = bytes.toString("utf8");
  const ask = (pattern: Pattern, isWanted: boolean): readonly StructureFailure[] => {
    const found = matcher.ask(pattern, text);
    if (found === isWanted) return [];
    const shown = JSON.stringify(pattern.source);
    if (found === null)
      return [fail(pattern.source, `whether ${path} has ${shown} was not found out in time`)];
    return [
      fail(pattern.source, isWanted ? `${path} has no ${shown}` : `${path} has ${shown}, and should not`),
    ];
  };
  return [
    ...test.expected.flatMap((pattern) => ask(pattern, true)),
    ...test.excluded.flatMap((pattern) => ask(pattern, false)),
  ];
}

function judgeMetadata(
  test: MetadataTest,
  config: ImageConfig | null,
  matcher: Matcher,
): readonly StructureFailure[] {
  const fail = (what: string, message: string): readonly StructureFailure[] => [
    { part: "metadata", object: `${test.about} ${what}`, message, place: test.place },
  ];
  if (config === null)
    return fail("configuration", "there is no configuration: it is a bare root file system");
  const bare = (port: string): string => port.split("/")[0] ?? port;
  switch (test.about) {
    case "env":
    case "label": {
      const name = test.about === "env" ? "the variable" : "the label";
      const value =
        test.about === "env"
          ? config.env.findLast((one) => one.startsWith(`${test.key}=`))?.slice(test.key.length + 1)
          : Object.hasOwn(config.labels, test.key)
            ? config.labels[test.key]
            : undefined;
      if (value === undefined) return fail(test.key, `${name} ${test.key} is not set`);
      if (typeof test.value === "string")
        return value === test.value
          ? []
          : fail(test.key, `${name} ${test.key} has another value than the test says`);
      const found = matcher.ask(test.value, value);
      const shown = JSON.stringify(test.value.source);
      if (found === null)
        return fail(test.key, `whether ${name} ${test.key} matches ${shown} was not found out in time`);
      return found ? [] : fail(test.key, `${name} ${test.key} does not match ${shown}`);
    }
    case "no-env":
      return config.env.some((one) => one.startsWith(`${test.key}=`))
        ? fail(test.key, `the variable ${test.key} is set, and should not be`)
        : [];
    case "entrypoint":
    case "cmd": {
      const words = test.about === "cmd" ? config.command : config.entrypoint;
      return JSON.stringify(words) === JSON.stringify(test.words)
        ? []
        : fail("words", `${test.about} is ${JSON.stringify(words)}, not ${JSON.stringify(test.words)}`);
    }
    case "workdir":
    case "user": {
      const value = test.about === "user" ? config.user : config.workingDirectory;
      return value === test.value
        ? []
        : fail("value", `${test.about} is ${JSON.stringify(value)}, not ${JSON.stringify(test.value)}`);
    }
    case "port":
    case "no-port": {
      const has = config.ports.some((port) => port === test.value || bare(port) === bare(test.value));
      if (has === (test.about === "port")) return [];
      return fail(test.value, `port ${test.value} is ${has ? "exposed, and should not be" : "not exposed"}`);
    }
    case "volume":
    case "no-volume": {
      const has = config.volumes.includes(test.value);
      if (has === (test.about === "volume")) return [];
      return fail(test.value, `${test.value} is ${has ? "a volume, and should not be" : "no volume"}`);
    }
  }
  return test satisfies never;
}

/** Asks regular expressions, with an end: V8 looks at its clock while it goes back and forth in a text. */
class Matcher {
  readonly #context = createContext(Object.create(null) as object);
  readonly #script = new Script("pattern.test(text)");
  #left = ALL_PATIENCE;

  /** Null: not found out in time. */
  ask({ pattern }: Pattern, text: string): boolean | null {
    if (this.#left <= 0) return null;
    Object.assign(this.#context, { pattern, text });
    try {
      return this.#script.runInContext(this.#context, { timeout: PATIENCE }) === true;
    } catch (error) {
      // An error of the other context is no Error of this one.
      if ((error as { readonly code?: unknown }).code !== "ERR_SCRIPT_EXECUTION_TIMEOUT") throw error;
      this.#left -= PATIENCE;
      return null;
    }
  }
}
