/**
 * Bytes of a structure test file, YAML or JSON → tests. Everything that is not carried over is a problem with its line: a test that is left
 * out silently would pass. Reads no other file.
 */
import { DocumentReader, type Field, placeOf } from "../gate/document.ts";
import type { Checked } from "../problems.ts";
import { fromGoPattern } from "./go-pattern.ts";
import type { ContentTest, ExistenceTest, MetadataTest, Pattern, StructureTests } from "./structure-test.ts";
import { parseYaml } from "./yaml.ts";

const KIND = "structure-test-invalid";

/** Parts of the schema that only a running container decides. */
const NEEDS_A_CONTAINER: Readonly<Record<string, string>> = {
  commandTests: "this needs a running container, and images are not run here",
  licenseTests: "this needs a list of licences, which is that tool's own",
  globalEnvVars: "this is for commands in a running container",
  containerRunOptions: "this is for a running container",
};
const KEEP = "keep these tests with container-structure-test, which runs them";

export function readStructureTests(bytes: Uint8Array, file: string): Checked<StructureTests> {
  const reader = new DocumentReader(KIND, file);
  const tests = {
    existence: [] as ExistenceTest[],
    content: [] as ContentTest[],
    metadata: [] as MetadataTest[],
  };
  const document = parse(bytes, file, reader);
  if (document !== null) {
    const fields = reader.object(
      document,
      [
        "schemaVersion",
        "fileExistenceTests",
        "fileContentTests",
        "metadataTest",
        ...Object.keys(NEEDS_A_CONTAINER),
      ],
      ["schemaVersion"],
    );
    reader.text(fields["schemaVersion"], ["2.0.0"]);
    for (const [name, why] of Object.entries(NEEDS_A_CONTAINER)) {
      const field = fields[name];
      if (field !== undefined && !isEmpty(field)) reader.report(field, why, { hint: KEEP });
    }
    for (const item of listOf(fields["fileExistenceTests"], reader)) {
      const test = existenceTest(item, reader);
      if (test !== null) tests.existence.push(test);
    }
    for (const item of listOf(fields["fileContentTests"], reader)) {
      const test = contentTest(item, reader);
      if (test !== null) tests.content.push(test);
    }
    if (fields["metadataTest"] !== undefined)
      tests.metadata.push(...metadataTests(fields["metadataTest"], reader));
    const count = tests.existence.length + tests.content.length + tests.metadata.length;
    if (count === 0 && reader.problems.length === 0)
      reader.report(document, "there is no test in it", {
        expected: "fileExistenceTests, fileContentTests or metadataTest",
      });
  }
  return reader.problems.length > 0 ? { ok: false, problems: reader.problems } : { ok: true, value: tests };
}

/** JSON begins with a brace; everything else is YAML. */
function parse(bytes: Uint8Array, file: string, reader: DocumentReader): Field | null {
  const [first] = new TextDecoder().decode(bytes.subarray(0, 4096)).trimStart();
  if (first === "{") return reader.parse(bytes);
  const parsed = parseYaml(bytes, file, KIND);
  if (parsed.ok) return { node: parsed.value, pointer: "" };
  reader.problems.push(...parsed.problems);
  return null;
}

const isEmpty = ({ node }: Field): boolean =>
  (node.type === "array" && node.items.length === 0) ||
  (node.type === "object" && node.members.size === 0) ||
  (node.type === "scalar" && node.value === null);

const listOf = (field: Field | undefined, reader: DocumentReader): readonly Field[] =>
  field === undefined || isEmpty(field) ? [] : reader.items(field);

/** A text; numbers and truth values count as they are written, as in that tool. May be empty. */
function textOf(field: Field | undefined, reader: DocumentReader): string | undefined {
  if (field === undefined) return undefined;
  const { node } = field;
  if (node.type === "scalar" && typeof node.value === "string") return node.value;
  if (node.type === "scalar" && typeof node.value === "number") return node.text ?? String(node.value);
  if (node.type === "scalar" && typeof node.value === "boolean") return String(node.value);
  reader.report(field, "this is not a text", { expected: "a text" });
  return undefined;
}

const textsOf = (
  field: Field | undefined,
  reader: DocumentReader,
): readonly { text: string; field: Field }[] =>
  listOf(field, reader).flatMap((item) => {
    const text = textOf(item, reader);
    return text === undefined ? [] : [{ text, field: item }];
  });

function idOf(field: Field | undefined, reader: DocumentReader): number | null {
  if (field === undefined) return null;
  const id = reader.number(field, "an id, 0 or more", (value) =>
    typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : null,
  );
  return id ?? null;
}

/** Go's letters before the nine bits, or those of ls(1). */
const PERMISSIONS =
  /^(?:[-dalTLDpSugct?]{1,4}(?:[r-][w-][x-]){3}|[-dlbcps](?:[r-][w-][xsS-]){2}[r-][w-][xtT-])$/;

function existenceTest(item: Field, reader: DocumentReader): ExistenceTest | null {
  const fields = reader.object(
    item,
    ["name", "path", "shouldExist", "permissions", "uid", "gid", "isExecutableBy"],
    ["name", "path"],
  );
  const name = reader.text(fields["name"]);
  const path = reader.text(fields["path"]);
  const shouldExist = fields["shouldExist"] === undefined ? true : reader.flag(fields["shouldExist"]);
  const by =
    fields["isExecutableBy"] === undefined
      ? null
      : reader.text(fields["isExecutableBy"], ["owner", "group", "other", "any"]);
  const permissions = textOf(fields["permissions"], reader) ?? "";
  if (fields["permissions"] !== undefined && permissions !== "" && !PERMISSIONS.test(permissions))
    reader.report(fields["permissions"], `${JSON.stringify(permissions)} are no permissions`, {
      expected: '"-rwxr-xr-x"',
    });
  const [uid, gid] = [idOf(fields["uid"], reader), idOf(fields["gid"], reader)];
  const asksMore = permissions !== "" || uid !== null || gid !== null || by !== null;
  if (shouldExist === false && asksMore)
    reader.report(item, "a file that should not exist has no permissions and no owner");
  if (name === undefined || path === undefined || shouldExist === undefined || by === undefined) return null;
  return {
    name,
    path,
    shouldExist,
    permissions: permissions === "" ? null : permissions,
    uid,
    gid,
    isExecutableBy: by as ExistenceTest["isExecutableBy"],
    place: placeOf(item),
  };
}

function contentTest(item: Field, reader: DocumentReader): ContentTest | null {
  const fields = reader.object(
    item,
    ["name", "path", "expectedContents", "excludedContents"],
    ["name", "path"],
  );
  const name = reader.text(fields["name"]);
  const path = reader.text(fields["path"]);
  const patterns = (field: Field | undefined): readonly Pattern[] =>
    textsOf(field, reader).flatMap(({ text, field: at }) => patternOf(text, at, reader) ?? []);
  const [expected, excluded] = [patterns(fields["expectedContents"]), patterns(fields["excludedContents"])];
  if (name === undefined || path === undefined) return null;
  return { name, path, expected, excluded, place: placeOf(item) };
}

function patternOf(source: string, field: Field, reader: DocumentReader): Pattern | null {
  const pattern = fromGoPattern(source);
  if (typeof pattern !== "string") return { source, pattern };
  reader.report(field, `the regular expression cannot be carried over: ${pattern}`);
  return null;
}

const METADATA = {
  env: ["envVars", "env"],
  unbound: ["unboundEnvVars", "unboundEnv"],
  rest: [
    "labels",
    "entrypoint",
    "cmd",
    "exposedPorts",
    "unexposedPorts",
    "volumes",
    "unmountedVolumes",
    "workdir",
    "user",
  ],
};

function metadataTests(field: Field, reader: DocumentReader): readonly MetadataTest[] {
  if (isEmpty(field)) return [];
  const fields = reader.object(field, [...METADATA.env, ...METADATA.unbound, ...METADATA.rest]);
  const pairs = (about: "env" | "label", list: Field | undefined): readonly MetadataTest[] =>
    listOf(list, reader).flatMap((item) => {
      const { key, value, isRegex } = reader.object(item, ["key", "value", "isRegex"], ["key"]);
      const name = reader.text(key);
      const text = value === undefined ? "" : textOf(value, reader);
      if (name === undefined || text === undefined) return [];
      const isPattern = isRegex === undefined ? false : (reader.flag(isRegex) ?? false);
      const wanted = isPattern ? patternOf(text, value ?? item, reader) : text;
      return wanted === null ? [] : [{ about, key: name, value: wanted, place: placeOf(item) }];
    });
  const values = (
    about: "port" | "no-port" | "volume" | "no-volume",
    name: string,
  ): readonly MetadataTest[] =>
    textsOf(fields[name], reader).map(({ text, field: at }) => ({ about, value: text, place: placeOf(at) }));
  const words = (about: "entrypoint" | "cmd"): readonly MetadataTest[] => {
    const list = fields[about];
    if (list === undefined || (list.node.type === "scalar" && list.node.value === null)) return [];
    return [{ about, words: textsOf(list, reader).map(({ text }) => text), place: placeOf(list) }];
  };
  const one = (about: "workdir" | "user"): readonly MetadataTest[] => {
    const at = fields[about];
    const value = textOf(at, reader);
    return at === undefined || value === undefined || value === ""
      ? []
      : [{ about, value, place: placeOf(at) }];
  };
  return [
    ...METADATA.env.flatMap((name) => pairs("env", fields[name])),
    ...METADATA.unbound.flatMap((name) =>
      listOf(fields[name], reader).flatMap((item): readonly MetadataTest[] => {
        const { key } = reader.object(item, ["key", "value", "isRegex"], ["key"]);
        const wanted = reader.text(key);
        return wanted === undefined ? [] : [{ about: "no-env", key: wanted, place: placeOf(item) }];
      }),
    ),
    ...pairs("label", fields["labels"]),
    ...words("entrypoint"),
    ...words("cmd"),
    ...values("port", "exposedPorts"),
    ...values("no-port", "unexposedPorts"),
    ...values("volume", "volumes"),
    ...values("no-volume", "unmountedVolumes"),
    ...one("workdir"),
    ...one("user"),
  ];
}
