/**
 * The mounts of an OCI config.json -> mounts in our shape. What a runtime mounts that shows something of the host is a bind of it here, so that whoever
 * judges paths sees it: a writable /sys, a file system of a device. Takes located fields; every option that is not understood is noted.
 */

import { resolve } from "node:path/posix";
import type { Device, Mount, ProcMode } from "../profile/spec.ts";
import { parseSize } from "../profile/units.ts";
import type { Field, Fields } from "./fields.ts";

export interface OciMount {
  readonly mount: Mount;
  /** In the document. */
  readonly pointer: string;
  /** Whether a profile of ours can have it; otherwise it only stands for what it shows. */
  readonly portable: boolean;
}

export interface OciMounts {
  readonly mounts: readonly OciMount[];
  /** Of the mount at /proc. */
  readonly proc: ProcMode;
  /** That come as mounts: pts, mqueue. */
  readonly devices: readonly Device[];
}

/** mount(8) options without a meaning here: defaults, or access times. */
const NEUTRAL =
  /^(defaults|bind|rbind|(no|rel|strict|lazy)?atime|no(dir|rel|strict)atime|diratime|(no)?iversion|a?sync|rw|ro|(no)?(suid|dev|exec)|silent|loud)$/;
const RECURSIVE = /^r(ro|rw|(no)?(suid|dev|exec))$/;
/** In a mount namespace of its own nothing gets out; rshared and shared are where mounts do. */
const PRIVATE = /^r?(private|slave|unbindable)$/;
const SHARED = /^r?shared$/;

const TMPFS = /^(size|nr_inodes|mode|uid|gid|nr_blocks|huge|mpol)=/;

/**
 * A path of the document as one name: absolute, without detours, or relative and then beside config.json. One that is written relatively and
 * leaves the bundle is a path of the host.
 */
export function pathFrom(bundle: string, path: string): string {
  const whole = resolve(bundle, path);
  return !path.startsWith("/") && whole.startsWith(`${bundle}/`) ? whole.slice(bundle.length + 1) : whole;
}

/** `bundle`: the directory of config.json, absolute. */
export function readMounts(fields: Fields, field: Field | undefined, bundle: string): OciMounts {
  const mounts: OciMount[] = [];
  const devices: Device[] = [];
  let proc: ProcMode = "none";
  for (const item of fields.items(field, "mounts")) {
    const members = fields.members(item, "a mount");
    if (members === null) continue;
    fields.others(members, ["destination", "type", "source", "options"]);
    const destination = fields.text(members.get("destination"), "destination");
    const source = fields.text(members.get("source"), "source") ?? "";
    const options = fields.texts(members.get("options"), "options");
    const bound = options.some((option) => option === "bind" || option === "rbind");
    const type = bound ? "bind" : (fields.text(members.get("type"), "type") ?? "bind");
    if (destination === undefined) {
      if (!members.has("destination")) fields.report(item, '"destination" is missing', "an absolute path");
      continue;
    }
    const target = resolve("/", destination);
    noteOptions(fields, item, options, type);
    const readOnly = options.includes("ro") || options.includes("rro");
    const noExec = options.includes("noexec") || options.includes("rnoexec");
    const add = (mount: Mount, portable: boolean): void => {
      mounts.push({ mount, pointer: item.pointer, portable });
    };
    /** A file system that shows the host's kernel or devices. */
    const shows = (host: string): void =>
      add({ type: "bind", source: host, target, readOnly, noExec, optional: false }, false);
    switch (type) {
      case "bind":
        if (source === "")
          fields.report(item, "a bind has no source", "a path of the host, or one beside config.json");
        else
          add(
            { type: "bind", source: pathFrom(bundle, source), target, readOnly, noExec, optional: false },
            true,
          );
        break;
      case "tmpfs":
      case "ramfs":
        if (target !== "/dev" || !noExec)
          add(
            {
              type: "tmpfs",
              target,
              size: sizeOf(options),
              inodes: inodesOf(options),
              mode: modeOf(options),
              noExec,
              readOnly,
            },
            type === "tmpfs" && target !== "/dev",
          );
        break;
      case "proc":
        if (target === "/proc") proc = options.includes("subset=pid") ? "pids" : "full";
        else shows("/proc");
        break;
      case "devpts":
        devices.push("pts");
        break;
      case "mqueue":
        devices.push("mqueue");
        break;
      case "sysfs":
      case "cgroup":
      case "cgroup2":
        // Read-only they tell of the machine; written to they are the host's kernel.
        if (readOnly) fields.note(item, `${type} at ${target} is read-only: what it tells is not judged`);
        else shows(type === "sysfs" ? "/sys" : "/sys/fs/cgroup");
        break;
      default:
        fields.note(item, `a file system of type ${type} counts as a part of the host`);
        shows(resolve("/", source === "" ? type : source));
    }
  }
  return { mounts, proc, devices };
}

function noteOptions(fields: Fields, field: Field, options: readonly string[], type: string): void {
  const shared = options.filter((option) => SHARED.test(option));
  if (shared.length > 0)
    fields.note(
      field,
      `${shared.join(", ")}: what is mounted below it appears on the host; no rule judges that`,
    );
  const odd = options.filter(
    (option) =>
      !NEUTRAL.test(option) &&
      !RECURSIVE.test(option) &&
      !PRIVATE.test(option) &&
      !SHARED.test(option) &&
      !(type === "tmpfs" && TMPFS.test(option)) &&
      !["proc", "devpts", "mqueue", "sysfs", "cgroup", "cgroup2"].includes(type),
  );
  if (odd.length > 0) fields.note(field, `mount options without a counterpart: ${odd.join(", ")}`);
}

const valueOf = (options: readonly string[], name: string): string | undefined =>
  options.findLast((option) => option.startsWith(`${name}=`))?.slice(name.length + 1);

/** Bytes; 0, as in tmpfs(5), for no limit of its own: none, or a share of the machine. */
function sizeOf(options: readonly string[]): number {
  const written = valueOf(options, "size");
  return written === undefined
    ? 0
    : (parseSize(/[kmgtp]$/i.test(written) ? written.toUpperCase() : written) ?? 0);
}

/** 0 as for the size. */
function inodesOf(options: readonly string[]): number {
  const written = valueOf(options, "nr_inodes") ?? "";
  return /^\d{1,12}$/.test(written) ? Number(written) : 0;
}

/** Of the root directory of a tmpfs; 01777 unless it says otherwise (tmpfs(5)). */
function modeOf(options: readonly string[]): number {
  const written = valueOf(options, "mode") ?? "";
  return /^[0-7]{1,5}$/.test(written) ? Number.parseInt(written, 8) & 0o7777 : 0o1777;
}
