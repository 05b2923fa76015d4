/**
 * Resource limits by cgroup: which controllers hold which limit, in v1, v2 and hybrid layouts.
 * The monitor makes `sandbox-<run id>` under each parent, writes and reads back the limits, init joins, the monitor reads the
 * accounts at the end and removes the directory. Where there is no controller, rlimits stand in (rlimits.ts).
 */

import type { Controller } from "../host/facts.ts";
import { bug } from "../problems.ts";
import { buffer, load, result } from "../program/build.ts";
import {
  AT_FDCWD,
  AT_REMOVEDIR,
  CLOCK_MONOTONIC,
  O_CLOEXEC,
  O_PATH,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  OPEN_FLAGS,
} from "../program/constants.ts";
import { ERRNO } from "../program/errno.ts";
import { requestedLimits } from "./cgroup-limits.ts";
import type { Draft } from "./draft.ts";

/** One file to write in a controller's directory. */
interface Limit {
  readonly controller: Controller;
  readonly file: string;
  readonly content: string;
  readonly decision: string;
}

/** Accounting files read at the end, per controller and version. */
const ACCOUNTS: Readonly<Record<1 | 2, Readonly<Partial<Record<Controller, readonly string[]>>>>> = {
  1: {
    memory: ["memory.max_usage_in_bytes", "memory.oom_control"],
    cpuacct: ["cpuacct.usage", "cpuacct.stat"],
    pids: ["pids.events", "pids.peak"],
  },
  2: { memory: ["memory.peak", "memory.events"], cpu: ["cpu.stat"], pids: ["pids.events", "pids.peak"] },
};

/** An account that only tells something when the first bytes of another one are not these. */
const QUIET: Readonly<Record<string, { readonly file: string; readonly text: string }>> = {
  // Whose limit refused the forks: the highest count (Linux 6.1) has reached the own one, or has not.
  "pids.peak": { file: "pids.events", text: "max 0\n" },
};

const READ_BACK_SIZE = 64;
const ACCOUNT_SIZE = 1024;

/** Decide every limit, make the directories, join, account, remove. Gives which resources a cgroup holds. */
export function limitByCgroup(draft: Draft): ReadonlySet<string> {
  const limits: Limit[] = [];
  const held = new Set<string>();
  const wanted = new Map<Controller, string>();
  for (const entry of requestedLimits(draft)) {
    const controller = draft.cgroup.controllers[entry.controller];
    if (controller === undefined) continue;
    held.add(entry.resource);
    const decision = draft.decide({
      id: `resources.${entry.resource}`,
      control: "resources",
      setting: `${entry.shown} (cgroup v${controller.version} ${entry.controller})`,
      pointer: `/resources/${entry.resource}`,
      status: "full",
    });
    for (const [file, content, optional] of entry.files(controller.version)) {
      if (optional === true && !draft.cgroup.swapAccounting) continue;
      limits.push({ controller: entry.controller, file, content, decision });
      draft.decisions.push({
        ...(draft.decisions.find(({ id }) => id === decision) ?? bug("decision vanished")),
        id: `${decision}.${file}`,
        setting: `${file} = ${content}`,
        check: { kind: "cgroup", controller: entry.controller, file, expected: content },
      });
    }
    wanted.set(entry.controller, decision);
  }
  // Accounting is worth a directory even without a limit: peak memory and CPU time of the whole sandbox.
  if (wanted.size > 0 && draft.cgroup.controllers.cpuacct !== undefined) {
    wanted.set("cpuacct", [...wanted.values()][0] ?? bug("no controller"));
  }
  const groups = new Map<string, Controller[]>();
  for (const controller of wanted.keys()) {
    const facts = draft.cgroup.controllers[controller] ?? bug(`no ${controller}`);
    const key = `${facts.version}:${draft.supervised ? facts.parent : (facts.top ?? facts.parent)}`;
    groups.set(key, [...(groups.get(key) ?? []), controller]);
  }
  for (const [key, controllers] of groups) {
    makeDirectory(draft, key.startsWith("1:") ? 1 : 2, key.slice(2), controllers, limits, wanted);
  }
  return held;
}
function makeDirectory(
  draft: Draft,
  version: 1 | 2,
  parent: string,
  controllers: readonly Controller[],
  limits: readonly Limit[],
  wanted: ReadonlyMap<Controller, string>,
): void {
  const { O_DIRECTORY, O_NOFOLLOW } = OPEN_FLAGS[draft.host.arch];
  const name = version === 2 ? "cgroup.v2" : `cgroup.${controllers[0]}`;
  const decision = wanted.get(controllers[0] ?? bug("empty cgroup")) ?? bug("unwanted cgroup");
  draft.cgroups.push({ version, parent, controllers });
  draft.buffer("cgroup-name", 96);
  const at = draft.phase("monitor.cgroup", decision);
  if (draft.cgroups.length === 1) {
    at.format("cgroup.name", "the run's directory in every hierarchy", "cgroup-name", [
      { text: "sandbox-" },
      { buffer: "run-id" },
    ]);
  }
  draft.hostDescriptors.add(`${name}.parent`).add(`${name}.dir`);
  const above = at.call(
    `${name}.parent`,
    "where this host lets us make cgroups",
    "openat",
    [AT_FDCWD, draft.text(parent), O_PATH | O_DIRECTORY | O_CLOEXEC, 0],
    { target: parent },
  );
  if (version === 2 && !draft.supervised) handOn(draft, name, above, controllers, decision);
  at.call(`${name}.make`, "a cgroup of this run alone", "mkdirat", [above, buffer("cgroup-name"), 0o755], {
    target: `${parent}/sandbox-<run id>`,
  });
  const directory = at.call(
    `${name}.dir`,
    "limits are written through it",
    "openat",
    [above, buffer("cgroup-name"), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0],
    { target: `${parent}/sandbox-<run id>` },
  );

  for (const limit of limits.filter(({ controller }) => controllers.includes(controller)))
    writeLimit(draft, name, directory, limit);

  if (
    version === 1 &&
    limits.some(({ controller }) => controller === "cpuset") &&
    controllers.includes("cpuset")
  )
    copyMemoryNodes(draft, name, decision);
  if (version === 1) {
    // Written by init itself ("0"): a task that moves itself needs no system-wide lock, which would cost milliseconds.
    at.call(
      `${name}.tasks`,
      "init joins through it",
      "openat",
      [directory, draft.text("tasks"), O_WRONLY | O_CLOEXEC, 0],
      { target: "tasks" },
    );
    draft
      .phase("init.cgroup", decision)
      .call(
        `${name}.join`,
        "the limits hold before anything else runs",
        "write",
        [result(`${name}.tasks`), draft.text("0"), 1],
        {
          target: `${parent}/sandbox-<run id>/tasks`,
        },
      );
  }
  account(draft, version, name, controllers, decision);
}

/**
 * A supervisor has done this before the launch; a launcher by itself may be the first in this tree since the machine started. Whether it
 * was needed or not: the limits' files are there after it, or opening them fails and with it the launch.
 */
function handOn(
  draft: Draft,
  name: string,
  above: ReturnType<typeof result>,
  controllers: readonly Controller[],
  decision: string,
): void {
  const at = draft.phase("monitor.cgroup", decision);
  const file = "cgroup.subtree_control";
  const enable = controllers.map((controller) => `+${controller}`).join(" ");
  const handed = at.call(
    `${name}.hand-on.open`,
    "children get these controllers",
    "openat",
    [above, draft.text(file), O_WRONLY | O_CLOEXEC, 0],
    { onError: "continue", target: file },
  );
  at.call(
    `${name}.hand-on.write`,
    "children get these controllers",
    "write",
    [handed, draft.text(enable), enable.length],
    { onError: "continue", target: file },
  );
  at.call(`${name}.hand-on.close`, "done with it", "close", [handed], { onError: "continue" });
}

function writeLimit(draft: Draft, name: string, directory: ReturnType<typeof result>, limit: Limit): void {
  const at = draft.phase("monitor.cgroup", limit.decision);
  const step = `${name}.${limit.file}`;
  const output = draft.buffer(`read.cgroup.${limit.controller}.${limit.file}`, READ_BACK_SIZE);
  const file = at.call(
    `${step}.open`,
    `limit ${limit.controller}`,
    "openat",
    [directory, draft.text(limit.file), O_RDWR | O_CLOEXEC, 0],
    {
      target: limit.file,
    },
  );
  at.call(
    `${step}.write`,
    `${limit.file} = ${limit.content}`,
    "write",
    [file, draft.text(limit.content), limit.content.length],
    { target: limit.file },
  );
  if (draft.supervised) {
    at.call(
      `${step}.read`,
      "what the kernel made of it",
      "pread64",
      [file, buffer(output), READ_BACK_SIZE - 1, 0],
      { target: limit.file },
    );
  }
  at.call(`${step}.close`, "done with it", "close", [file]);
}

/** A new v1 cpuset has no memory nodes, and takes no task without them: it gets those of its parent. */
function copyMemoryNodes(draft: Draft, name: string, decision: string): void {
  const at = draft.phase("monitor.cgroup", decision);
  const file = "cpuset.mems";
  const nodes = draft.buffer("cpuset.mems", READ_BACK_SIZE);
  const above = at.call(
    `${name}.mems.parent`,
    "the parent's memory nodes",
    "openat",
    [result(`${name}.parent`), draft.text(file), O_RDONLY | O_CLOEXEC, 0],
    { target: file },
  );
  const length = at.call(
    `${name}.mems.read`,
    "the parent's memory nodes",
    "read",
    [above, buffer(nodes), READ_BACK_SIZE - 1],
    { target: file },
  );
  const own = at.call(
    `${name}.mems.open`,
    "are those of the run",
    "openat",
    [result(`${name}.dir`), draft.text(file), O_WRONLY | O_CLOEXEC, 0],
    { target: file },
  );
  at.call(`${name}.mems.write`, "are those of the run", "write", [own, buffer(nodes), length], {
    target: file,
  });
}

/** Read the accounts, then remove the directory. Every step goes on whatever fails: here init is gone and its pid may be anyone's. */
function account(
  draft: Draft,
  version: 1 | 2,
  name: string,
  controllers: readonly Controller[],
  decision: string,
): void {
  const at = draft.phase("monitor.end", decision);
  at.branch(`${name}.made`, "the launch failed before it", result(`${name}.parent`), 0, `${name}.gone`);
  if (draft.supervised) {
    for (const controller of controllers) {
      for (const file of ACCOUNTS[version][controller] ?? []) {
        const output = draft.buffer(`end.${controller}.${file}`, ACCOUNT_SIZE);
        const step = `${name}.end.${file}`;
        const quiet = QUIET[file];
        if (quiet !== undefined) {
          const seen = load(`end.${controller}.${quiet.file}`, 0, 8);
          at.branch(
            `${step}.quiet`,
            `${quiet.file} has nothing to tell`,
            seen,
            word(quiet.text),
            `${step}.done`,
          );
        }
        // A file that this kernel lacks leaves a negative descriptor, and its buffer empty.
        const opened = at.call(
          `${step}.open`,
          "what the sandbox used",
          "openat",
          [result(`${name}.dir`), draft.text(file), O_RDONLY | O_CLOEXEC, 0],
          {
            onError: "continue",
            target: file,
          },
        );
        at.call(
          `${step}.read`,
          "what the sandbox used",
          "pread64",
          [opened, buffer(output), ACCOUNT_SIZE - 1, 0],
          { onError: "continue", target: file },
        );
        at.call(`${step}.close`, "done with it", "close", [opened], { onError: "continue" });
        if (quiet !== undefined) at.label(`${step}.done`);
      }
    }
  }
  // The kernel takes a moment to let go of the last task: EBUSY is retried, with growing pauses.
  for (const [attempt, pause] of [0n, 1_000_000n, 10_000_000n, 100_000_000n].entries()) {
    if (pause > 0n) {
      at.call(
        `${name}.pause${attempt}`,
        "tasks are still leaving",
        "clock_nanosleep",
        [CLOCK_MONOTONIC, 0, draft.words([0n, pause]), 0],
        { onError: "continue" },
      );
    }
    const removed = at.call(
      `${name}.remove${attempt}`,
      "nothing is left behind",
      "unlinkat",
      [result(`${name}.parent`), buffer("cgroup-name"), AT_REMOVEDIR],
      {
        onError: "continue",
        target: "sandbox-<run id>",
      },
    );
    at.branch(`${name}.removed${attempt}`, "it is gone", removed, 0, `${name}.gone`);
    if (attempt === 0)
      at.branch(`${name}.never`, "it was never made", removed, -BigInt(ERRNO.ENOENT), `${name}.gone`);
  }
  at.label(`${name}.gone`);
}

/** Up to eight bytes of text at the start of a buffer of zeros, as a load of eight sees them. */
function word(text: string): bigint {
  return [...new TextEncoder().encode(text)].reduce(
    (sum, byte, index) => sum | (BigInt(byte) << BigInt(8 * index)),
    0n,
  );
}

/** True when init is started inside a v2 cgroup with CLONE_INTO_CGROUP. */
export function startsInCgroup(draft: Draft): boolean {
  return draft.cgroups.some(({ version }) => version === 2);
}
