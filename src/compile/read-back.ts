/** Reading back, by init, what the kernel says is in force once the payload runs: from the sandbox's own procfs. */
import { buffer, result } from "../program/build.ts";
import { O_CLOEXEC, O_RDONLY } from "../program/constants.ts";
import type { Draft } from "./draft.ts";

const SIZES = { status: 4096, limits: 4096, label: 4096, mountinfo: 24576, ns: 64 } as const;
const NAMESPACE_LINKS = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"] as const;

export function readBack(draft: Draft, decision: string): void {
  const at = draft.phase("init.readback", decision);
  const read = (id: string, path: string | null, size: number): void => {
    const output = draft.buffer(`read.${id}`, size);
    const file = at.call(
      `read.${id}.open`,
      "what is in force",
      "openat",
      [result("proc.mount"), path === null ? buffer("path.read") : draft.text(path), O_RDONLY | O_CLOEXEC, 0],
      { target: path ?? `<payload>/${id}`, onError: "continue" },
    );
    at.call(`read.${id}.read`, "what is in force", "read", [file, buffer(output), size - 1], {
      target: path ?? `<payload>/${id}`,
      onError: "continue",
    });
  };
  draft.buffer("path.read", 64);
  const labelled = draft.decisions.some(({ check }) => check?.kind === "label");
  for (const [id, file, size] of [
    ["status", "status", SIZES.status],
    ["limits", "limits", SIZES.limits],
    ...(labelled ? [["label", "attr/current", SIZES.label] as const] : []),
  ] as const) {
    // A payload that has ended already is still there, as a zombie: only init reaps it, later.
    at.format(`read.${id}.path`, "the payload's", "path.read", [
      { decimal: result("payload.spawn") },
      { text: `/${file}` },
    ]);
    read(id, null, size);
  }
  readMounts(draft, decision);
  for (const name of NAMESPACE_LINKS) {
    const link = name === "time" ? "self/ns/time_for_children" : `self/ns/${name}`;
    at.call(
      `read.ns.${name}`,
      "which namespace it is",
      "readlinkat",
      [
        result("proc.mount"),
        draft.text(link),
        buffer(draft.buffer(`read.ns.${name}`, SIZES.ns)),
        SIZES.ns - 1,
      ],
      { target: link, onError: "continue" },
    );
  }
}

const PAGE = 4096;

/** procfs gives whole lines, at most a page at a time: one read per page of the buffer, zeros between them. */
function readMounts(draft: Draft, decision: string): void {
  const at = draft.phase("init.readback", decision);
  const path = "self/mountinfo";
  const output = draft.buffer("read.mountinfo", SIZES.mountinfo);
  const file = at.call(
    "read.mountinfo.open",
    "what is in force",
    "openat",
    [result("proc.mount"), draft.text(path), O_RDONLY | O_CLOEXEC, 0],
    {
      target: path,
      onError: "continue",
    },
  );
  for (let offset = 0; offset < SIZES.mountinfo; offset += PAGE) {
    at.call(`read.mountinfo.${offset}`, "what is in force", "read", [file, buffer(output, offset), PAGE], {
      target: path,
      onError: "continue",
    });
  }
}
