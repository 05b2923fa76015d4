/** `filesystem`: OCI option lists → flags, sizes → bytes, modes → bits, device names looked up. */
import type { AuthorMount, AuthorProfile, AuthorRoot } from "./author.ts";
import { MOUNT_DEFAULTS, ROOT_DEFAULTS } from "./defaults.ts";
import { checkAbsolute } from "./paths.ts";
import type { Report } from "./report.ts";
import { DEVICES, type Mount, type Root, type Spec, type Write } from "./spec.ts";
import { parseMode, parseSize } from "./units.ts";

export function normaliseFilesystem(author: AuthorProfile["filesystem"], report: Report): Spec["filesystem"] {
  return {
    root: root(author.root, report),
    write: write(author.write, report),
    writeSize: size(author.writeSize, "/filesystem/writeSize", report),
    proc: author.proc,
    mounts: mounts(author.mounts, report),
    masked: paths(author.masked, "/filesystem/masked", report),
    readOnly: paths(author.readOnly, "/filesystem/readOnly", report),
    devices: devices(author.devices, report),
    shmSize: size(author.shmSize, "/filesystem/shmSize", report),
    workdir: author.workdir,
  };
}

/** A launch makes them one by one. */
const MAX_MOUNTS = 1000;

function mounts(list: readonly AuthorMount[], report: Report): readonly Mount[] {
  if (list.length > MAX_MOUNTS)
    report.add("profile-value", "/filesystem/mounts", `${list.length} mounts are too many`, {
      expected: `at most ${MAX_MOUNTS}`,
    });
  return list
    .slice(0, MAX_MOUNTS)
    .map((mount, index) => normaliseMount(mount, `/filesystem/mounts/${index}`, report));
}

function root(author: AuthorRoot, report: Report): Root {
  switch (author.type) {
    case "system":
      return { type: "system", etc: author.etc ?? ROOT_DEFAULTS.system.etc };
    case "directory":
      return { type: "directory", path: checkAbsolute(author.path, "/filesystem/root/path", report) };
    case "closure":
    case "empty":
      return { type: author.type };
  }
}

function write(author: AuthorProfile["filesystem"]["write"], report: Report): Write {
  if (typeof author === "string") return author;
  return { directory: checkAbsolute(author.directory, "/filesystem/write/directory", report) };
}

function paths(list: readonly string[], place: string, report: Report): readonly string[] {
  return [...new Set(list.map((path, index) => checkAbsolute(path, `${place}/${index}`, report)))];
}

/** tmpfs takes a size of 0 as no limit (tmpfs(5)), so 0 is refused. */
function size(value: string | number, place: string, report: Report): number {
  const bytes = parseSize(value);
  if (bytes !== null && bytes > 0) return bytes;
  report.add("profile-value", place, `${JSON.stringify(value)} is not the size of a file system`, {
    expected: 'more than 0 and less than 8192T, such as "64M"',
  });
  return 4096;
}

function devices(names: readonly string[], report: Report): Spec["filesystem"]["devices"] {
  const known: readonly string[] = DEVICES;
  for (const [index, name] of names.entries()) {
    if (known.includes(name)) continue;
    const suggestion = report.nearest(name.replace(/^\/dev\//, ""), known);
    report.add(
      "profile-value",
      `/filesystem/devices/${index}`,
      `${JSON.stringify(name.slice(0, 60))} is not a device that can be given`,
      {
        expected: suggestion === undefined ? `one of ${known.join(", ")}` : undefined,
        suggestion,
        hint:
          name.startsWith("/dev/") && suggestion === undefined
            ? "bind it with a mount if it is safe"
            : undefined,
      },
    );
  }
  return DEVICES.filter((name) => names.includes(name));
}

/** One item of filesystem.mounts, or what --bind and --tmpfs append. */
function normaliseMount(author: AuthorMount, place: string, report: Report): Mount {
  const target = checkAbsolute(author.target, `${place}/target`, report);
  switch (author.type) {
    case "bind": {
      const options = readOptions(author.options ?? [], "bind", `${place}/options`, report);
      return {
        type: "bind",
        source: checkAbsolute(author.source, `${place}/source`, report),
        target,
        readOnly: options.readOnly ?? MOUNT_DEFAULTS.bind.readOnly,
        noExec: options.noExec ?? MOUNT_DEFAULTS.bind.noExec,
        optional: author.optional ?? MOUNT_DEFAULTS.bind.optional,
      };
    }
    case "tmpfs": {
      const options = readOptions(author.options ?? [], "tmpfs", `${place}/options`, report);
      for (const field of ["size", "mode", "inodes"] as const) {
        if (options[field] !== undefined && author[field] !== undefined) {
          report.add(
            "profile-contradiction",
            `${place}/options`,
            `${field} is given as a field and as an option`,
            {
              expected: "one of the two",
            },
          );
        }
      }
      return {
        type: "tmpfs",
        target,
        size: size(author.size ?? options.size ?? MOUNT_DEFAULTS.tmpfs.size, `${place}/size`, report),
        inodes: author.inodes ?? options.inodes ?? MOUNT_DEFAULTS.tmpfs.inodes,
        mode: mode(author.mode ?? options.mode ?? MOUNT_DEFAULTS.tmpfs.mode, `${place}/mode`, 0o1777, report),
        noExec: options.noExec ?? MOUNT_DEFAULTS.tmpfs.noExec,
        readOnly: options.readOnly ?? MOUNT_DEFAULTS.tmpfs.readOnly,
      };
    }
    case "file":
      return {
        type: "file",
        target,
        content: author.content,
        mode: mode(author.mode ?? MOUNT_DEFAULTS.file.mode, `${place}/mode`, 0o777, report),
      };
    case "symlink":
      if (author.link === "" || author.link.includes("\0") || Buffer.byteLength(author.link) >= 4096) {
        report.add("profile-value", `${place}/link`, "the link cannot be made", {
          expected: "1 to 4095 bytes without NUL",
        });
      }
      return { type: "symlink", target, link: author.link };
  }
}

/** set-user-ID and set-group-ID bits mean nothing under nosuid and are refused. */
function mode(value: string, place: string, most: number, report: Report): number {
  const bits = parseMode(value);
  if (bits !== null && (bits & ~most) === 0) return bits;
  report.add("profile-value", place, `the mode ${JSON.stringify(value)} has bits that cannot be given`, {
    expected: `octal, at most "${most.toString(8)}", without set-user-ID and set-group-ID`,
  });
  return bits === null ? 0 : bits & most;
}

interface Options {
  readOnly?: boolean;
  noExec?: boolean;
  size?: string;
  mode?: string;
  inodes?: number;
}

const WORDS = ["ro", "rw", "exec", "noexec", "nosuid", "nodev", "bind", "rbind"];
const TMPFS_WORDS = ["size=", "mode=", "nr_inodes="];

function readOptions(
  list: readonly string[],
  type: "bind" | "tmpfs",
  place: string,
  report: Report,
): Options {
  const options: Options = {};
  const set = <K extends keyof Options>(key: K, value: NonNullable<Options[K]>, index: number): void => {
    if (options[key] !== undefined && options[key] !== value) {
      report.add(
        "profile-contradiction",
        `${place}/${index}`,
        `the option ${JSON.stringify(list[index])} contradicts an earlier one`,
        {
          expected: "one of the two",
        },
      );
    }
    options[key] = value;
  };
  for (const [index, option] of list.entries()) {
    const unknown = (): void => {
      const known = type === "tmpfs" ? [...WORDS.slice(0, 6), ...TMPFS_WORDS] : WORDS;
      const suggestion =
        option === "suid" || option === "dev" ? `"no${option}"` : report.nearest(option, known);
      report.add(
        "profile-value",
        `${place}/${index}`,
        `${JSON.stringify(option.slice(0, 60))} is not an option of a ${type} mount`,
        {
          expected: suggestion === undefined ? `one of ${known.join(", ")}` : undefined,
          suggestion,
        },
      );
    };
    switch (option) {
      case "ro":
      case "rw":
        set("readOnly", option === "ro", index);
        break;
      case "exec":
      case "noexec":
        set("noExec", option === "noexec", index);
        break;
      case "nosuid":
      case "nodev":
        // Always so.
        break;
      case "bind":
      case "rbind":
        // Always recursive: what is mounted below the source would else show its covered directories.
        if (type !== "bind") unknown();
        break;
      default: {
        const [, key, value] = /^(size|mode|nr_inodes)=(.+)$/s.exec(type === "tmpfs" ? option : "") ?? [];
        if (key === "size" && value !== undefined && parseSize(value) !== null) set("size", value, index);
        else if (key === "mode" && value !== undefined && parseMode(value) !== null)
          set("mode", value, index);
        else if (key === "nr_inodes" && value !== undefined && /^[1-9][0-9]{0,8}$/.test(value))
          set("inodes", Number(value), index);
        else unknown();
      }
    }
  }
  return options;
}
