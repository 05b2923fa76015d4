/**
 * /dev: a tmpfs of ours with the few devices asked for, own terminals, shared memory and message queues; and /proc.
 */

import type { Device } from "../profile/spec.ts";
import { buffer, load, result } from "../program/build.ts";
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  OPEN_TREE_CLOEXEC,
  OPEN_TREE_CLONE,
  S_IFCHR,
  S_IFMT,
  STATX_MODE_OFFSET,
  STATX_SIZE,
  STATX_TYPE,
} from "../program/constants.ts";
import type { Operand } from "../program/program.ts";
import type { Draft } from "./draft.ts";
import { attach, attributeNames, closeMount, makeFileSystem, setAttributes } from "./trees.ts";

/** Device numbers: Documentation/admin-guide/devices.txt. */
const NODES: Readonly<Partial<Record<Device, readonly [major: number, minor: number]>>> = {
  null: [1, 3],
  zero: [1, 5],
  full: [1, 7],
  random: [1, 8],
  urandom: [1, 9],
  tty: [5, 0],
};

const LINKS = [
  ["fd", "/proc/self/fd"],
  ["stdin", "/proc/self/fd/0"],
  ["stdout", "/proc/self/fd/1"],
  ["stderr", "/proc/self/fd/2"],
] as const;

export function provideDevices(draft: Draft): void {
  const { devices, shmSize } = draft.spec.filesystem;
  const attributes = { readOnly: true, noExec: true, noDev: true };
  const decision = draft.decide({
    id: "filesystem.devices",
    control: "filesystem",
    setting: devices.length === 0 ? "an empty /dev" : devices.join(", "),
    pointer: "/filesystem/devices",
    status: "full",
    check: { kind: "mount", target: "/dev", fsType: "tmpfs", options: attributeNames(attributes) },
  });
  makeFileSystem(
    draft,
    "init.devices",
    decision,
    "dev.fs",
    "tmpfs",
    [
      ["size", "65536"],
      ["nr_inodes", "64"],
      ["mode", "0755"],
    ],
    { ...attributes, readOnly: false },
    "content",
  );
  attach(draft, "init.devices", decision, "dev", result("dev.fs.mount"), "/dev", "directory", "no-links");

  for (const device of devices) checkDevice(draft, device);
  for (const device of devices) {
    const node = NODES[device];
    if (node !== undefined) provideNode(draft, decision, device, node);
  }
  const at = draft.phase("init.devices", decision);
  if (devices.includes("fd")) {
    for (const [name, to] of LINKS)
      at.call(
        `dev.${name}.link`,
        to,
        "symlinkat",
        [draft.text(to), result("dev.fs.mount"), draft.text(name)],
        { target: `/dev/${name}` },
      );
  }
  if (devices.includes("pts")) {
    // mode 0600: without a tty group that is mapped, nobody else may write to a terminal.
    makeFileSystem(
      draft,
      "init.devices",
      decision,
      "devpts",
      "devpts",
      [
        ["newinstance", null],
        ["ptmxmode", "0666"],
        ["mode", "0600"],
      ],
      { readOnly: false, noExec: true, noDev: false },
      "scratch",
    );
    attach(
      draft,
      "init.devices",
      decision,
      "devpts.at",
      result("devpts.mount"),
      "/dev/pts",
      "directory",
      "no-links",
    );
    at.call(
      "dev.ptmx",
      "terminals of this instance alone",
      "symlinkat",
      [draft.text("pts/ptmx"), result("dev.fs.mount"), draft.text("ptmx")],
      { target: "/dev/ptmx" },
    );
  }
  if (devices.includes("shm")) {
    makeFileSystem(
      draft,
      "init.devices",
      decision,
      "shm",
      "tmpfs",
      [
        ["size", `${shmSize}`],
        ["nr_inodes", "1024"],
        ["mode", "01777"],
      ],
      { readOnly: false, noExec: true, noDev: true },
      "scratch",
    );
    attach(
      draft,
      "init.devices",
      decision,
      "shm.at",
      result("shm.mount"),
      "/dev/shm",
      "directory",
      "no-links",
    );
  }
  if (devices.includes("mqueue")) {
    const usable = { readOnly: false, noExec: true, noDev: true };
    makeFileSystem(draft, "init.devices", decision, "mqueue", "mqueue", [], usable, "kernel");
    attach(
      draft,
      "init.devices",
      decision,
      "mqueue.at",
      result("mqueue.mount"),
      "/dev/mqueue",
      "directory",
      "no-links",
    );
  }
  closeMount(draft, decision, "dev.close", result("dev.fs.mount"), "/dev");
}

/** What must be true of each once the payload runs: usable, and nothing more. */
function checkDevice(draft: Draft, device: Device): void {
  if (device === "fd") return;
  const node = NODES[device];
  draft.decide({
    id: `device:${device}`,
    control: "filesystem",
    setting: node === undefined ? "an instance of its own" : `character device ${node.join(":")}`,
    pointer: "/filesystem/devices",
    status: "full",
    check: {
      kind: "mount",
      target: `/dev/${device}`,
      fsType: null,
      options: node === undefined ? ["rw", "nosuid", "noexec"] : ["nosuid", "noexec"],
      without: node === undefined ? [] : ["nodev", "ro"],
    },
  });
}

/** A device of the host's at its own place. */
function provideNode(
  draft: Draft,
  decision: string,
  device: Device,
  number: readonly [number, number],
): void {
  const path = `/dev/${device}`;
  const id = `dev.${device}`;
  const tree = cloneNode(draft, decision, id, path, number);
  attach(draft, "init.devices", decision, id, tree, path, "file", "no-links");
}

/** A clone of the host's node: device nodes cannot be made in a user namespace. Checked by number, so that no other file can pose as it. */
export function cloneNode(
  draft: Draft,
  decision: string,
  id: string,
  path: string,
  [major, minor]: readonly [number, number],
): Operand {
  const at = draft.phase("init.sources", decision);
  draft.buffer("statx", STATX_SIZE);
  const tree = at.call(
    `${id}.clone`,
    "the host's node",
    "open_tree",
    [AT_FDCWD, draft.text(path), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC],
    { target: path },
  );
  at.call(
    `${id}.stat`,
    "what is it really?",
    "statx",
    [tree, draft.text(""), AT_EMPTY_PATH, STATX_TYPE, buffer("statx")],
    { target: path },
  );
  at.expect(`${id}.type`, "a character device", load("statx", STATX_MODE_OFFSET, 2), S_IFCHR, "ENODEV", {
    mask: S_IFMT,
    target: path,
  });
  at.expect(
    `${id}.number`,
    `number ${major}:${minor}`,
    load("statx", 128, 8),
    (BigInt(minor) << 32n) | BigInt(major),
    "ENODEV",
    { target: path },
  );
  setAttributes(draft, at, id, tree, { readOnly: false, noExec: true, noDev: false }, path);
  return tree;
}

/** A private procfs. It is also what the launcher reads back from, so it is made even when the payload does not get to see it. */
export function provideProc(draft: Draft): void {
  const { proc } = draft.spec.filesystem;
  const attributes = { readOnly: false, noExec: true, noDev: true };
  const decision = draft.decide({
    id: "filesystem.proc",
    control: "filesystem",
    setting: {
      none: "no /proc",
      pids: "own processes only, nothing about the host",
      full: "own processes, and what procfs tells about the machine",
    }[proc],
    pointer: "/filesystem/proc",
    status: "full",
    check:
      proc === "none"
        ? null
        : { kind: "mount", target: "/proc", fsType: "proc", options: attributeNames(attributes) },
  });
  if (!draft.host.proc.available) {
    if (proc !== "none") {
      const { reason, fix } = draft.host.proc;
      draft.problem({
        kind: "host-cannot",
        pointer: "/filesystem/proc",
        message: `a private /proc cannot be mounted: ${reason}`,
        hint: fix,
      });
    }
    return;
  }
  // While the host's procfs is still in this mount namespace: the kernel compares with it before it lets a new one be mounted.
  makeFileSystem(
    draft,
    "init.proc",
    decision,
    "proc",
    "proc",
    proc === "full" ? [] : [["subset", "pid"]],
    attributes,
    "kernel",
  );
  if (proc !== "none")
    attach(
      draft,
      "init.devices",
      decision,
      "proc.at",
      result("proc.mount"),
      "/proc",
      "directory",
      "no-links",
    );
}
