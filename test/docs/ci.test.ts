/**
 * What documents give to continuous integration does there what they say. Without the servers: the files are parsed, and their scripts run
 * with the variables that a server would set; pre-commit runs itself.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { parse } from "yaml";
import { COMMAND } from "../cli/command.ts";
import { has, need } from "../host/needs.ts";
import { dockerArchive } from "../image/layout.ts";
import { file, tar } from "../image/tar-writer.ts";
import { examples, PROJECT, read } from "./markdown.ts";

/** A repository with an image, bad in one way, and npx as its runner has it. */
function repository(): { readonly work: string; readonly env: Readonly<Record<string, string>> } {
  const directory = mkdtempSync(join(tmpdir(), "sandbox-ci-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const [work, bin] = [join(directory, "work"), join(directory, "bin")];
  mkdirSync(work);
  mkdirSync(bin);
  const npx = join(bin, "npx");
  // The package is not installed anywhere: its name stands for the built command.
  writeFileSync(
    npx,
    `#!/bin/sh\nwhile :; do case "$1" in --yes|sandbox-runner*) shift;; *) break;; esac; done\nexec '${process.execPath}' '${COMMAND}' "$@"\n`,
  );
  chmodSync(npx, 0o755);
  const history = [
    { created_by: "COPY conf /etc/ # buildkit" },
    { created_by: "USER root", empty_layer: true },
  ];
  const top = { history, created: "2026-01-01T00:00:00Z", architecture: "amd64" };
  const spec = {
    layers: [{ tar: tar(file("etc/conf", "x", { mode: 0o666 })) }],
    config: { User: "root" },
    top,
  };
  writeFileSync(join(work, "app.tar"), dockerArchive(spec, ["app:1"]));
  writeFileSync(join(work, "Dockerfile"), "FROM scratch\nCOPY conf /etc/\nUSER root\n");
  const wanted = "- {name: conf, path: /etc/conf, shouldExist: true}";
  writeFileSync(join(work, "structure.yaml"), `schemaVersion: 2.0.0\nfileExistenceTests:\n${wanted}\n`);
  // Somebody's own report, in the repository.
  writeFileSync(join(work, "sandbox-image.sarif"), '{"runs":[{"forged":true}]}');
  const paths = [bin, dirname(process.execPath), "/usr/local/bin", "/usr/bin", "/bin"];
  return { work, env: { PATH: paths.join(":"), HOME: directory, CI: "true" } };
}

const snippet = (kind: string): string => {
  const [found] = examples(read("docs/image-gate.md"), (info) => info === `yaml ${kind}`);
  if (found === undefined) throw new Error(`docs/image-gate.md has no ${kind}`);
  return found.text;
};

const ACTION = ".github/actions/check-image/action.yml";
interface Action {
  readonly inputs: Readonly<Record<string, { readonly required?: boolean; readonly default?: string }>>;
  readonly outputs: Readonly<Record<string, { readonly value: string }>>;
  readonly runs: {
    readonly using: string;
    readonly steps: readonly {
      readonly id: string;
      readonly shell: string;
      readonly env: Readonly<Record<string, string>>;
      readonly run: string;
    }[];
  };
}
const action = parse(readFileSync(join(PROJECT, ACTION), "utf8")) as Action;

/** Runs the action's step as a runner does, with these inputs. */
function act(given: Readonly<Record<string, string>>) {
  const { work, env } = repository();
  const [step] = action.runs.steps;
  if (step === undefined) throw new Error("the action has no step");
  const valueOf = (expression: string): string => {
    const [, name = ""] = /^\$\{\{ inputs\.([\w-]+) \}\}$/.exec(expression) ?? [];
    const input = action.inputs[name];
    if (input === undefined) throw new Error(`${expression} is no input`);
    return given[name] ?? input.default ?? "";
  };
  const inputs = Object.fromEntries(Object.entries(step.env).map(([name, value]) => [name, valueOf(value)]));
  const [output, summary] = [join(work, "..", "output"), join(work, "..", "summary")];
  writeFileSync(output, "");
  writeFileSync(summary, "");
  // "shell: bash" of a composite action is this.
  const ended = spawnSync("bash", ["--noprofile", "--norc", "-eo", "pipefail", "-c", step.run], {
    cwd: work,
    env: { ...env, ...inputs, GITHUB_ACTIONS: "true", GITHUB_OUTPUT: output, GITHUB_STEP_SUMMARY: summary },
    encoding: "utf8",
  });
  return {
    status: ended.status,
    stdout: ended.stdout,
    stderr: ended.stderr,
    outputs: readFileSync(output, "utf8"),
    summary: readFileSync(summary, "utf8"),
    work,
  };
}

describe("the action for GitHub", () => {
  test("is what a runner takes: steps with shells, outputs of steps, and no input inside of a script", () => {
    expect(action.runs.using).toBe("composite");
    for (const { shell, run, id } of action.runs.steps) {
      expect(shell).toBe("bash");
      expect(run).not.toContain("${{");
      for (const { value } of Object.values(action.outputs))
        expect(value).toMatch(new RegExp(`steps\\.${id}\\.outputs\\.`));
    }
    const used = action.runs.steps.flatMap(({ env }) => Object.values(env)).join();
    for (const name of Object.keys(action.inputs)) expect(used).toContain(`inputs.${name} }}`);
  });

  test("is called by the name and version of this package", () => {
    const { name, version } = JSON.parse(readFileSync(join(PROJECT, "package.json"), "utf8")) as Record<
      string,
      string
    >;
    expect(action.inputs["command"]?.default).toBe(`npx --yes ${name}@${version}`);
  });

  test("annotates, summarises, leaves SARIF and fails on a bad image", () => {
    const { status, stdout, stderr, outputs, summary, work } = act({
      image: "app.tar",
      policy: "runtime",
      dockerfile: "Dockerfile",
    });
    expect({ status, stderr }).toEqual({ status: 1, stderr: "" });
    expect(stdout).toMatch(/^::error file=Dockerfile,line=2,col=1,title=[^\n]*no-world-writable/m);
    expect(outputs).toBe("status=1\nsarif=sandbox-image.sarif\n");
    expect(summary).toContain("no-world-writable");
    const sarif = JSON.parse(readFileSync(join(work, "sandbox-image.sarif"), "utf8")) as { version: string };
    expect(sarif.version).toBe("2.1.0");
  });

  test("passes what a policy lets pass, with several files a line each", () => {
    const { work, ...ended } = act({
      image: "app.tar\n\napp.tar",
      policy: "structure-tests",
      "structure-test": "\nstructure.yaml",
    });
    expect([ended.status, ended.outputs]).toEqual([0, "status=0\nsarif=sandbox-image.sarif\n"]);
    expect(existsSync(join(work, "sandbox-image.sarif"))).toBe(true);
  });

  test("takes inputs as they are: none of them is a command or an option", () => {
    const evil = "x$(touch hacked)`touch hacked`; touch hacked";
    for (const given of [
      { image: evil },
      { image: "--help" },
      { image: "app.tar", policy: evil },
      { image: "app.tar", dockerfile: evil },
    ]) {
      const { status, outputs, work } = act(given);
      expect(status).not.toBe(0);
      expect(outputs).toContain(`status=${status}\n`);
      // A report that was in the repository is not handed on as that of this check.
      expect(outputs.includes("sarif=")).toBe(existsSync(join(work, "sandbox-image.sarif")));
      expect(
        existsSync(join(work, "sandbox-image.sarif")) &&
          readFileSync(join(work, "sandbox-image.sarif"), "utf8"),
      ).not.toContain("forged");
      expect(existsSync(join(work, "hacked"))).toBe(false);
    }
  });

  test("is used in the documents with inputs that it has", () => {
    const workflow = parse(snippet("github")) as {
      jobs: Record<
        string,
        { steps: { id?: string; uses?: string; if?: string; with?: Record<string, string> }[] }
      >;
    };
    const steps = Object.values(workflow.jobs).flatMap((job) => job.steps);
    const step = steps.find(({ uses }) => uses === `./${dirname(ACTION)}`);
    const inputs = step?.with ?? {};
    expect(Object.keys(inputs).filter((name) => !(name in action.inputs))).toEqual([]);
    expect(
      Object.keys(action.inputs).filter((name) => action.inputs[name]?.required && !(name in inputs)),
    ).toEqual([]);
    expect(JSON.stringify(steps)).toContain(`steps.${step?.id}.outputs.sarif`);
    expect(act(inputs).status).toBe(1);
  });
});

test("the job for GitLab leaves the reports that it names", () => {
  const { work, env } = repository();
  const [job] = Object.values(
    parse(snippet("gitlab")) as Record<
      string,
      { script: string[]; artifacts: { when: string; reports: Record<string, string> } }
    >,
  );
  if (job === undefined) throw new Error("no job");
  expect(job.artifacts.when).toBe("always");
  const ended = spawnSync("bash", ["-eo", "pipefail", "-c", job.script.join("\n")], {
    cwd: work,
    env,
    encoding: "utf8",
  });
  expect({ status: ended.status, stderr: ended.stderr }).toEqual({ status: 1, stderr: "" });
  const { codequality = "", junit = "" } = job.artifacts.reports;
  const issues = JSON.parse(readFileSync(join(work, codequality), "utf8")) as {
    location: { path: string };
  }[];
  expect(issues.map(({ location }) => location.path)).toContain("Dockerfile");
  expect(readFileSync(join(work, junit), "utf8")).toContain('name="no-world-writable"');
});

test("pre-commit runs the hooks, and each stops what it is for", { timeout: 60_000 }, (context) => {
  need(context, has("/usr/bin/pre-commit"), "pre-commit is not installed");
  const { work, env } = repository();
  const run = (program: string, ...args: readonly string[]): { status: number | null; stdout: string } =>
    spawnSync(program, args, { cwd: work, env, encoding: "utf8" });
  writeFileSync(join(work, ".pre-commit-config.yaml"), snippet("pre-commit"));
  mkdirSync(join(work, "profiles"));
  const profile = { name: "mine", description: "mine", extends: "strict" };
  writeFileSync(join(work, "profiles/mine.json"), JSON.stringify(profile));
  execFileSync("git", ["init", "-q"], { cwd: work, env });
  execFileSync("git", ["add", "."], { cwd: work, env });
  const good = run("pre-commit", "run", "--all-files");
  expect(good.stdout).toMatch(/sandbox profiles hold their policy\.+Passed/);
  expect(good.status).toBe(0);
  writeFileSync(
    join(work, "profiles/mine.json"),
    JSON.stringify({ ...profile, capabilities: { bounding: ["CAP_SYS_ADMIN"] } }),
  );
  execFileSync("git", ["add", "."], { cwd: work, env });
  const bad = run("pre-commit", "run", "--all-files");
  expect([bad.status, bad.stdout.includes("CAP_SYS_ADMIN is in the bounding set")]).toEqual([1, true]);
  const pushed = run("pre-commit", "run", "--all-files", "--hook-stage", "push");
  expect(pushed.stdout).toMatch(/the image is minimal and hardened\.+Failed/);
  expect(pushed.status).toBe(1);
});
