/**
 * Writes the figures of one run of the bench into the README:
 *
 *   node bench/run.mjs --json | node test/docs/figures.mjs
 *
 * Take a machine that does nothing else; what the README says is what was printed.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, release } from "node:os";
import { fileURLToPath } from "node:url";

const README = fileURLToPath(new URL("../../README.md", import.meta.url));
const { node, report } = JSON.parse(readFileSync(0, "utf8"));

/** What is quoted, by the bench's own names. */
const QUOTED = [
  ["launcher / bwrap", "compiled launcher, with its filter / bubblewrap without one, same work"],
  ["launcher / bare", "compiled launcher / the bare namespaces and an exec"],
  ["launcher, strict / bwrap", "the same under `strict`, with limits and cgroups / bubblewrap"],
  [
    "launcher, strict / runc",
    "the same / `runc run` on a root of its own, with a cgroup and without a filter",
  ],
  ["sandbox.run / spawn bwrap", "library, cgroup and audit log included / spawning bubblewrap from Node"],
  ["sandbox run / node -e 0", "command line / `node -e 0`"],
  ["strict / any filter", "`getppid` under the filter of `strict` / under one that allows everything"],
  ["monitor", "resident memory of the monitor"],
  ["init", "resident memory of init"],
  ["left behind: processes", "processes left behind by 64 sandboxes at once and 1,000 in a row"],
  ["left behind: mounts", "mounts left behind"],
  ["left behind: cgroups", "cgroups left behind"],
  ["left behind: descriptors", "descriptors left behind"],
];

const PEERS = /bwrap|runc/;
const rows = report.flatMap((section) => section.rows);
const lines = QUOTED.flatMap(([name, text]) => {
  const row = rows.find(({ what }) => what === name);
  // A peer may be missing; a name that the bench does not know any more is a mistake here.
  if (row === undefined && !PEERS.test(name)) throw new Error(`the bench has no row "${name}"`);
  if (row === undefined || row.value === "-") return [];
  return [`| ${text} | ${row.value} | ${row.target} |`];
});
const made = [
  `Medians of one interleaved run of \`npm run bench\` on ${new Date().toISOString().slice(0, 10)}: Linux ${release().split(".").slice(0, 2).join(".")}, ${availableParallelism()} CPUs, Node ${node}.`,
  "",
  "| | measured | aim |",
  "|---|---|---|",
  ...lines,
];
const text = readFileSync(README, "utf8");
const replaced = text.replace(
  /(<!-- figures[^>]*-->\n)[\s\S]*?(<!-- end of figures -->)/,
  (_, start, end) => `${start}${made.join("\n")}\n${end}`,
);
if (!replaced.includes(made[0])) throw new Error("README.md has no part for figures");
writeFileSync(README, replaced);
