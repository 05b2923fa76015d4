/** The documents agree with the project: links, tables, excerpts, versions. */
import { existsSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { describe, expect, it } from "vitest";
import { defaultAuditFile } from "../../src/audit/log.ts";
import { PROBLEM_TITLES, unwrap } from "../../src/problems.ts";
import { profileFiles } from "../../src/profile/files.ts";
import { resolveProfile } from "../../src/profile/resolve.ts";
import { formatSize, formatTime } from "../../src/profile/units.ts";
import { printPlan } from "../../src/program/print.ts";
import { TOOL } from "../../src/version.ts";
import { planFor } from "../compile/plan.ts";
import { anchors, blocks, documents, links, PROJECT, prose, read } from "./markdown.ts";

const UPDATE = process.env["UPDATE_DOCS"] === "1";

describe("links", () => {
  it.for(documents())("of %s lead somewhere", (document) => {
    const broken = links(read(document)).filter((link) => {
      if (link.startsWith("https://")) return false;
      const [path = "", anchor] = link.split("#");
      const target = path === "" ? document : normalize(join(dirname(document), path));
      if (target.startsWith("..") || !existsSync(join(PROJECT, target))) return true;
      return anchor !== undefined && !anchors(read(target)).includes(anchor);
    });
    expect(broken).toEqual([]);
  });

  it("reach every document from the README", () => {
    const seen = new Set<string>();
    const visit = (document: string): void => {
      if (seen.has(document)) return;
      seen.add(document);
      for (const link of links(read(document))) {
        const path = link.split("#")[0] ?? "";
        if (path === "" || link.startsWith("https:")) continue;
        const target = normalize(join(dirname(document), path));
        if (target.endsWith(".md")) visit(target);
      }
    };
    visit("README.md");
    expect(documents().filter((document) => !seen.has(document))).toEqual([]);
  });

  it("of tables and lists are not wrapped in code that hides a missing file", () => {
    // Files that prose names in code as `src/...` or `test/...` exist.
    const missing = documents().flatMap((document) =>
      [...read(document).matchAll(/`((?:src|test|scripts|profiles|bench|docs)\/[\w./-]+)`/g)]
        .map((match) => match[1] ?? "")
        .filter((path) => !existsSync(join(PROJECT, path)) && !existsSync(join(PROJECT, `${path}.test.ts`)))
        .map((path) => `${document}: ${path}`),
    );
    expect(missing.filter((entry) => !entry.endsWith(".generated.ts"))).toEqual([]);
  });
});

/** A part of a document that is made from the sources; with UPDATE_DOCS=1 it is made anew. */
function part(document: string, name: string, made: string): string {
  const text = read(document);
  const parts = new RegExp(`(<!-- ${name}[^>]*-->\n)([\\s\\S]*?)(<!-- end of ${name} -->)`).exec(text);
  if (parts === null) throw new Error(`${document} has no part "${name}"`);
  if (UPDATE)
    writeFileSync(
      join(PROJECT, document),
      text.replace(parts[0], () => `${parts[1]}${made}${parts[3]}`),
    );
  return UPDATE ? made : (parts[2] ?? "");
}

describe("problems", () => {
  const pages = readdirSync(join(PROJECT, "docs/problems"))
    .filter((name) => name !== "README.md")
    .map((name) => name.replace(/\.md$/, ""));

  it("have a page each, and no page has no problem", () => {
    expect(pages.toSorted()).toEqual(Object.keys(PROBLEM_TITLES).toSorted());
  });

  it("say on their page what it is about, and what to do", () => {
    const poor = pages.filter((kind) => {
      const text = read(`docs/problems/${kind}.md`);
      return !/^# \S/.test(text) || !/fix|what to do|what helps/i.test(text) || text.length < 200;
    });
    expect(poor).toEqual([]);
  });

  it("are all in the index, with their titles", () => {
    const rows = Object.entries(PROBLEM_TITLES).map(
      ([kind, title]) => `| [\`${kind}\`](${kind}.md) | ${title} |\n`,
    );
    const made = `| kind | |\n|---|---|\n${rows.join("")}`;
    expect(part("docs/problems/README.md", "problems", made)).toBe(made);
  });
});

describe("decisions", () => {
  const records = readdirSync(join(PROJECT, "docs/decisions"))
    .filter((name) => /^\d/.test(name))
    .toSorted();

  it("have numbers of their own, without a gap", () => {
    expect(records.map((name) => Number(name.slice(0, 4)))).toEqual(records.map((_, index) => index + 1));
  });

  it("are all in the index", () => {
    const rows = records.map((name) => {
      const [, title = ""] = /^# (?:\d+\.? )?(.*)$/m.exec(read(`docs/decisions/${name}`)) ?? [];
      return `| ${Number(name.slice(0, 4))} | [${title}](${name}) |\n`;
    });
    const made = `| | |\n|---|---|\n${rows.join("")}`;
    expect(part("docs/decisions/README.md", "decisions", made)).toBe(made);
  });
});

const spec = (name: string) => {
  const resolved = resolveProfile({ profile: name, overrides: [], cwd: "/" }, profileFiles());
  if (!resolved.ok) throw new Error(JSON.stringify(resolved.problems));
  return resolved.value.spec;
};
const cell = (label: string): readonly string[] => {
  const row = read("README.md")
    .split("\n")
    .find((line) => line.startsWith(`| ${label} |`));
  return (row ?? "")
    .split("|")
    .slice(2, -1)
    .map((text) => text.trim());
};
const size = (bytes: number | null) =>
  bytes === null
    ? "no limit"
    : formatSize(bytes)
        .replace(/(?<=\d)(?=[KMGT])/, " ")
        .replace(/[KMGT]$/, "$&iB");
const time = (ms: number | null) => (ms === null ? null : formatTime(ms).replace(/(?<=\d)(?=[a-z])/, " "));

describe("the README", () => {
  const readme = read("README.md");

  it("quotes a plan that the compiler still makes, in its order", () => {
    const quoted = blocks(readme).filter(({ info }) => info.startsWith("text plan "));
    expect(quoted).toHaveLength(1);
    for (const { info, text } of quoted) {
      const [host = "", profile = ""] = info.slice("text plan ".length).split(".");
      const plan = printPlan(unwrap(planFor({ host, profile })), { color: false })
        .split("\n")
        .map((line) => line.replace(/^\s*\d+ /, "").trim());
      const wanted = text.split("\n").filter((line) => line !== "" && line !== "...");
      expect(wanted.length).toBeGreaterThan(10);
      let at = 0;
      for (const line of wanted) {
        const found = plan.indexOf(line, at);
        expect({ line, quoted: found !== -1 }).toEqual({ line, quoted: true });
        at = found + 1;
      }
    }
  });

  it("has the limits of the profiles in its table", () => {
    const names = ["strict", "standard", "build", "judge"];
    expect(cell("memory, processes")).toEqual(
      names.map((name) => `${size(spec(name).resources.memory)}, ${spec(name).resources.pids}`),
    );
    expect(cell("CPU time, wall time")).toEqual(
      names.map((name) => {
        const { cpuTime, wallTime } = spec(name).resources;
        return cpuTime === null && wallTime === null ? "no limit" : `${time(cpuTime)}, ${time(wallTime)}`;
      }),
    );
    expect(cell("output")).toEqual(names.map((name) => size(spec(name).resources.outputSize)));
    expect(cell("network")).toEqual(
      names.map((name) => (spec(name).network.mode === "none" ? "loopback" : "host")),
    );
    expect(cell("log cannot be written")).toEqual(
      names.map((name) => (spec(name).audit.require ? "refuses" : "goes on")),
    );
    expect(cell("no usable cgroup")).toEqual(
      names.map((name) => (spec(name).require.resources === "full" ? "refuses" : "rlimits stand in")),
    );
    expect(names.map((name) => spec(name).filesystem.write)).toEqual([
      "none",
      "ephemeral",
      "ephemeral",
      "none",
    ]);
    expect(names.map((name) => spec(name).filesystem.proc)).toEqual(["pids", "full", "full", "pids"]);
    expect(names.map((name) => spec(name).filesystem.workdir)).toEqual(["none", "none", "rw", "none"]);
  });

  it("sets up with two lines", () => {
    const [first] = blocks(readme);
    expect(first?.text).toBe(
      'npm ci && npx sandbox run --profile strict -- /usr/bin/python3 -c \'print("hello from", __import__("os").getuid())\'\nnpm ci && npm test\n',
    );
  });
});

describe("the package", () => {
  const manifest: {
    name: string;
    version: string;
    license: string;
    files: string[];
    engines: { node: string };
    scripts: Record<string, string>;
  } = JSON.parse(read("package.json"));

  it("has the version and the name that the program tells", () => {
    expect(TOOL).toEqual({ name: manifest.name, version: manifest.version });
    expect(read("CHANGELOG.md")).toContain(`## [${manifest.version}]`);
  });

  it("has the licence that its text is", () => {
    expect(manifest.license).toBe("Apache-2.0");
    expect(read("LICENSE")).toMatch(/Apache License\s+Version 2\.0, January 2004/);
  });

  it("has every script that a document names", () => {
    const named = documents().flatMap((document) =>
      [...read(document).matchAll(/npm run ([\w:-]+)/g)].map((match) => match[1] ?? ""),
    );
    expect(named.filter((name) => manifest.scripts[name] === undefined)).toEqual([]);
  });
});

describe("the documents", () => {
  it("name default places that are the program's", () => {
    const text = read("docs/audit-log.md");
    expect(text).toContain(defaultAuditFile({}, 0));
  });

  it("name tests that exist in the table of layers", () => {
    const rows = read("SECURITY.md")
      .split("\n")
      .filter(
        (line) => /^\|.*\|$/.test(line) && /`(live|seccomp|launch|host|fault|audit|profile)\//.test(line),
      );
    const named = rows.flatMap((row) =>
      [...row.matchAll(/`((?:live|seccomp|launch|host|fault|audit|profile)\/[\w-]+|seccomp\/\*)`/g)].map(
        (match) => match[1] ?? "",
      ),
    );
    expect(named.length).toBeGreaterThan(20);
    expect(
      named.filter((name) =>
        name.endsWith("/*")
          ? !statSync(join(PROJECT, "test", name.slice(0, -2))).isDirectory()
          : !existsSync(join(PROJECT, "test", `${name}.test.ts`)),
      ),
    ).toEqual([]);
  });

  it("name groups of the table of attempts that exist", () => {
    const table = read("test/live/attempt-table.ts");
    const groups = [...read("SECURITY.md").matchAll(/`live\/attempts` \(([^)]+)\)/g)].map(
      (match) => match[1] ?? "",
    );
    expect(groups.length).toBeGreaterThan(2);
    expect(groups.filter((name) => !table.includes(`"${name}"`) && !table.includes(`  ${name}: [`))).toEqual(
      [],
    );
  });

  it("are written in lines that can be reviewed", () => {
    const long = documents().flatMap((document) =>
      prose(read(document))
        .split("\n")
        .filter((line) => line.length > 1200)
        .map(() => document),
    );
    expect(long).toEqual([]);
  });
});
