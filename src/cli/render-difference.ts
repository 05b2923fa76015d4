/**
 * Differences of two policies as text, as Markdown and as data. Calls that changed alike share a row.
 */
import type { Compared } from "../compare-policies.ts";
import {
  type CallDifference,
  callJson,
  type Difference,
  type Direction,
  formatAlternatives,
  formatCall,
  formatVerdict,
  type LayerDirection,
  overall,
  type Unknown,
} from "../toolkit.ts";

type PolicyDifference = Compared<readonly CallDifference[] | Unknown>;

/** Rows of one direction and the same changes, with the calls they are about. */
interface Row {
  readonly direction: Direction;
  readonly abi: string;
  readonly calls: string[];
  readonly changes: readonly string[];
  readonly examples: readonly string[];
}

const ORDER: readonly Direction[] = ["looser", "incomparable", "stricter", "only-errno"];

export function renderDifferences(compared: PolicyDifference, format: "text" | "markdown"): string {
  const { machine, first, second, result } = compared;
  if ("kind" in result) return `${machine}: cannot be decided: ${result.reason}`;
  const direction = overall(result.map((difference) => difference.direction));
  const title = verdictOf(direction, first.name, second.name);
  const rows = rowsOf(result);
  return format === "markdown" ? markdown(machine, title, rows) : text(machine, title, rows);
}

/** A difference in one word, in a sentence. */
function verdictOf(direction: Direction | null, first: string, second: string): string {
  switch (direction) {
    case null:
      return `${first} and ${second} answer alike to every call`;
    case "looser":
      return `${second} is looser than ${first}`;
    case "stricter":
      return `${second} is stricter than ${first}`;
    case "incomparable":
      return `${second} is looser than ${first} in some calls and stricter in others`;
    case "only-errno":
      return `${second} refuses with other errors than ${first}`;
  }
}

function rowsOf(differences: readonly CallDifference[]): readonly Row[] {
  const rows = new Map<string, Row>();
  for (const { abi, direction, first, last, name, changes } of differences) {
    const called = name ?? (first === last ? hex(first) : `${hex(first)} to ${hex(last)}`);
    const texts = changes.map(({ from, to, when }) => {
      const where = formatAlternatives(when);
      return `${formatVerdict(from)} -> ${formatVerdict(to)}${where === "always" ? "" : ` where ${where}`}`;
    });
    const key = JSON.stringify([abi, direction, texts]);
    const row = rows.get(key);
    if (row === undefined) {
      const examples = changes.map(({ example }) => formatCall(example));
      rows.set(key, { direction, abi, calls: [called], changes: texts, examples });
    } else row.calls.push(called);
  }
  return ORDER.flatMap((direction) => [...rows.values()].filter((row) => row.direction === direction));
}

/** A bar would end a cell of a table. */
const cell = (content: string) => content.replaceAll("|", String.raw`\|`);
const code = (content: string) => `\`${cell(content)}\``;
const hex = (value: number) => `0x${value.toString(16)}`;

function text(machine: string, title: string, rows: readonly Row[]): string {
  const blocks = rows.map(({ direction, abi, calls, changes, examples }) =>
    [
      `${direction} (${abi}): ${calls.join(", ")}`,
      ...changes.map((change, i) => `    ${change}\n      for example ${examples[i]}`),
    ].join("\n"),
  );
  return [`${machine}: ${title}`, ...blocks].join("\n");
}

function markdown(machine: string, title: string, rows: readonly Row[]): string {
  const lines = rows.map(
    ({ direction, abi, calls, changes, examples }) =>
      `| ${direction} | ${abi} | ${calls.map(code).join(" ")} | ${changes.map(code).join("<br>")} | ${examples.map(code).join("<br>")} |`,
  );
  const head = ["| | ABI | calls | change | for example |", "|---|---|---|---|---|"];
  return [
    `### System calls on ${machine}: ${title}`,
    ...(lines.length === 0 ? [] : ["", ...head, ...lines]),
  ].join("\n");
}

/** Everything, for programs. */
export function differencesJson({ machine, first, second, result }: PolicyDifference): object {
  const pair = { machine, first: first.name, second: second.name };
  if ("kind" in result) return { ...pair, conclusion: "unknown", reason: result.reason };
  return {
    ...pair,
    conclusion: overall(result.map(({ direction }) => direction)) ?? "equal",
    differences: result.map(({ changes, ...difference }) => ({
      ...difference,
      changes: changes.map(({ from, to, direction, when, example }) => ({
        from: formatVerdict(from),
        to: formatVerdict(to),
        direction,
        when: formatAlternatives(when),
        example: callJson(example),
      })),
    })),
  };
}

const LAYER_ORDER: readonly LayerDirection[] = ["looser", "incomparable", "undecided", "stricter", "other"];

/** Every layer but system calls. */
export function renderLayers(
  differences: readonly Difference[],
  first: string,
  second: string,
  format: "text" | "markdown",
): string {
  const sorted = LAYER_ORDER.flatMap((direction) =>
    differences.filter((each) => each.direction === direction),
  );
  const title =
    differences.length === 0 ? `${first} and ${second} are the same` : `${second} beside ${first}`;
  if (format === "text")
    return [
      `other layers: ${title}`,
      ...sorted.map(
        ({ direction, pointer, from, to, witness }) =>
          `${direction}: ${pointer}: ${from} -> ${to}${witness === "" ? "" : ` (${witness})`}`,
      ),
    ].join("\n");
  const rows = sorted.map(
    ({ direction, pointer, from, to, witness }) =>
      `| ${direction} | ${code(pointer)} | ${code(from)} | ${code(to)} | ${cell(witness)} |`,
  );
  const head = ["| | field | from | to | for example |", "|---|---|---|---|---|"];
  return [`### Other layers: ${title}`, ...(rows.length === 0 ? [] : ["", ...head, ...rows])].join("\n");
}
