/** Writing a file of a process in the host's procfs: by the monitor, through the descriptor that was checked to be procfs. */
import { buffer, type Listing, result } from "../program/build.ts";
import { O_CLOEXEC, O_WRONLY } from "../program/constants.ts";
import type { Operand, TextPart } from "../program/program.ts";
import type { Draft } from "./draft.ts";

/** Bytes of the text of an id map: the kernel takes less than a page, and no more than 340 lines (user_namespaces(7)). */
export const MAP_SIZE = 512;

/** Whose file it is: its pid, and how messages name it. */
export interface ProcOwner {
  readonly pid: Operand;
  readonly shown: string;
}

/** The steps are named `id` and what follows. A short write would be half a map: it is an error. */
export function writeProcFile(
  draft: Draft,
  at: Listing,
  id: string,
  file: "setgroups" | "gid_map" | "uid_map",
  owner: ProcOwner,
  why: string,
  content: readonly TextPart[],
): void {
  const text = draft.buffer(`text.${file}`, MAP_SIZE);
  const target = `/proc/<${owner.shown}>/${file}`;
  at.format(`${id}.path`, `${owner.shown}'s own file`, "path", [
    { decimal: owner.pid },
    { text: `/${file}` },
  ]);
  const opened = at.call(
    `${id}.open`,
    "only the monitor may write it",
    "openat",
    [result("proc.host"), buffer("path"), O_WRONLY | O_CLOEXEC, 0],
    { target },
  );
  const length = at.format(`${id}.text`, "one line per range", text, content);
  const written = at.call(`${id}.write`, why, "write", [opened, buffer(text), length], { target });
  at.expect(`${id}.whole`, "written to the last byte", written, length, "EIO", { target });
  at.call(`${id}.close`, "done with it", "close", [opened]);
}
