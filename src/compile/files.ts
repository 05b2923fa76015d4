/** Files and links that the launcher makes inside the root: generated, copied from the host, linked. */

import type { Mount } from "../profile/spec.ts";
import { O_CLOEXEC, O_CREAT, O_EXCL, O_WRONLY, OPEN_FLAGS } from "../program/constants.ts";
import type { Draft } from "./draft.ts";
import { makeDirectories, openHostFile, parentOf, placeFor } from "./trees.ts";
import type { Wanted } from "./wanted-mounts.ts";

/** A generated file. What a kept or foreign root already has at that place stays. */
export function writeFile(
  draft: Draft,
  { pointer, reason }: Wanted,
  mount: Extract<Mount, { type: "file" }>,
): void {
  const id = draft.unique(`file:${mount.target}`);
  const bytes = new TextEncoder().encode(mount.content).length;
  const decision = draft.decide({
    id,
    control: "filesystem",
    setting: `generated, ${bytes} bytes`,
    pointer,
    status: "full",
    reason,
  });
  const at = draft.phase("init.mounts", decision);
  makeDirectories(draft, at, id, parentOf(mount.target));
  const { O_NOFOLLOW } = OPEN_FLAGS[draft.host.arch];
  const file = at.call(
    `${id}.make`,
    "a file of our own",
    "openat",
    [
      ...placeFor(draft, at, `${id}.make`, mount.target),
      O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC,
      mount.mode,
    ],
    { target: mount.target, onError: { errnos: { EEXIST: `${id}.done`, EROFS: `${id}.done` } } },
  );
  if (bytes > 0) {
    const written = at.call(`${id}.write`, "its content", "write", [file, draft.text(mount.content), bytes], {
      target: mount.target,
    });
    at.expect(`${id}.whole`, "written to the last byte", written, bytes, "ENOSPC", { target: mount.target });
  }
  at.call(`${id}.close`, "done with it", "close", [file]);
  at.label(`${id}.done`);
}

/** Far more than any of these files has; sendfile(2) takes no more than that at once. */
const COPY_LIMIT = 0x7fff_f000;

/** A copy of a host file, made at every launch: what a bind would share stays apart. */
export function copyFile(draft: Draft, path: string): void {
  const id = `copy:${path}`;
  const decision = draft.decide({
    id,
    control: "filesystem",
    setting: "a copy of the host's file",
    pointer: "/filesystem/root",
    status: "full",
    reason: "part of a system root",
  });
  const real = draft.request.paths[path]?.real ?? path;
  const source = openHostFile(draft, decision, id, real);
  const at = draft.phase("init.mounts", decision);
  const { O_NOFOLLOW } = OPEN_FLAGS[draft.host.arch];
  makeDirectories(draft, at, id, parentOf(path));
  const file = at.call(
    `${id}.make`,
    "a file of our own",
    "openat",
    [...placeFor(draft, at, `${id}.make`, path), O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0o444],
    {
      target: path,
      onError: { errnos: { EEXIST: `${id}.done` } },
    },
  );
  at.call(`${id}.copy`, "its content", "sendfile", [file, source, 0, COPY_LIMIT], { target: path });
  const rest = at.call(`${id}.rest`, "nothing of it is left", "sendfile", [file, source, 0, COPY_LIMIT], {
    target: path,
  });
  at.expect(`${id}.whole`, "copied to the last byte", rest, 0, "ENOSPC", { target: path });
  at.call(`${id}.close`, "done with it", "close", [file]);
  at.label(`${id}.done`);
}

export function link(
  draft: Draft,
  { pointer, reason }: Wanted,
  mount: Extract<Mount, { type: "symlink" }>,
): void {
  const id = draft.unique(`link:${mount.target}`);
  const decision = draft.decide({
    id,
    control: "filesystem",
    setting: `link to ${mount.link}`,
    pointer,
    status: "full",
    reason,
  });
  const at = draft.phase("init.mounts", decision);
  makeDirectories(draft, at, id, parentOf(mount.target));
  at.call(
    `${id}.make`,
    "a link inside the root",
    "symlinkat",
    [draft.text(mount.link), ...placeFor(draft, at, `${id}.make`, mount.target)],
    {
      target: mount.target,
      onError: { errnos: { EEXIST: "next", EROFS: "next" } },
    },
  );
}
