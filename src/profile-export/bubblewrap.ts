/**
 * A shell script that runs its arguments under bubblewrap as a profile says, as far as bubblewrap can. The filter is the profile's own, byte for
 * byte: bwrap loads any. Pure.
 */
import { generate } from "../compile/seccomp/codegen.ts";
import type { Checked } from "../problems.ts";
import { locate } from "../profile/provenance.ts";
import type { Mount, Spec } from "../profile/spec.ts";
import { filterFacts } from "../profile-rules/filter-facts.ts";
import { type Aspect, type Exported, type ExportRequest, leftOut, oneMachineLeft } from "./exported.ts";

export function toBubblewrap({ profile, cwd, arch }: ExportRequest): Checked<Exported> {
  const { spec } = profile;
  const filters =
    spec.seccomp === null
      ? { ok: true as const, value: [] }
      : filterFacts(spec.seccomp, spec.capabilities.bounding, (pointer) => locate(profile, pointer), {
          machines: [arch],
        });
  if (!filters.ok) return filters;
  const [native] = filters.value;
  const program = native === undefined ? undefined : generate(native.rules.policy);
  const options = [
    ...isolation(spec),
    ...root(spec),
    ...spec.filesystem.mounts.flatMap(mounted),
    ...workdir(spec, cwd),
    ...(spec.filesystem.write === "none" ? [["--remount-ro", "/"]] : []),
    ...surroundings(spec),
  ];
  const words = [...options.map((each) => `  ${each.map(quote).join(" ")} \\`), ...passed(spec)];
  const text =
    program === undefined
      ? ["#!/bin/sh", heading(spec), "exec bwrap \\", ...words, '  -- "$@"', ""]
      : [
          "#!/bin/sh",
          `${heading(spec)} The filter is for ${arch}.`,
          "filter='",
          ...(base64(program).match(/.{1,76}/g) ?? []),
          "'",
          "exec 3<&0",
          `printf %s "$filter" | base64 -d | {`,
          "  exec bwrap \\",
          ...words,
          '  --seccomp 9 -- "$@" 9<&0 0<&3 3<&-',
          "}",
          "",
        ];
  const carried: readonly Aspect[] = [
    ...(["seccomp", "arguments", "newer", "conventions", "namespaces", "identity", "hostname"] as const),
    ...(["capabilities", "noNewPrivileges", "mounts", "workdir", "devices", "network"] as const),
    ...(["environment", "passed"] as const),
    ...(spec.filesystem.write === "none" ? (["write"] as const) : []),
    ...(spec.filesystem.root.type === "system" || spec.filesystem.root.type === "empty"
      ? (["root"] as const)
      : []),
  ];
  return {
    ok: true,
    value: { text: text.join("\n"), left: [...leftOut(spec, carried), ...oneMachineLeft(spec, arch)] },
  };
}

const heading = (spec: Spec): string => `# ${spec.name.replaceAll(/[\r\n]/g, " ")}, under bubblewrap.`;

/** One word for a shell. */
const quote = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;

/** What base64(1) reads. */
const base64 = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes));

/** Of the variables that are passed, those that the caller has. */
const passed = ({ environment }: Spec): readonly string[] =>
  environment.pass.map((name) => `  \${${name}+--setenv ${name} "$${name}"} \\`);

function isolation({ namespaces, network, identity, capabilities }: Spec): readonly (readonly string[])[] {
  const own = network.mode === "none" && namespaces.network;
  return [
    ...(namespaces.user
      ? [["--unshare-user"], ["--uid", `${identity.uid}`], ["--gid", `${identity.gid}`]]
      : []),
    ...(namespaces.pid ? [["--unshare-pid"]] : []),
    ...(own ? [["--unshare-net"]] : []),
    ...(namespaces.ipc ? [["--unshare-ipc"]] : []),
    ...(namespaces.uts ? [["--unshare-uts"], ["--hostname", identity.hostname]] : []),
    ...(namespaces.cgroup ? [["--unshare-cgroup-try"]] : []),
    ["--die-with-parent"],
    ["--new-session"],
    ["--cap-drop", "ALL"],
    ...capabilities.bounding.map((name) => ["--cap-add", name]),
  ];
}

function root({ filesystem }: Spec): readonly (readonly string[])[] {
  const system =
    filesystem.root.type === "system"
      ? [
          ["--ro-bind", "/usr", "/usr"],
          ...["bin", "sbin", "lib", "lib32", "lib64", "libx32"].map((name) => [
            "--ro-bind-try",
            `/${name}`,
            `/${name}`,
          ]),
        ]
      : filesystem.root.type === "directory"
        ? [["--ro-bind", filesystem.root.path, "/"]]
        : [];
  return [
    ...system,
    ...(filesystem.proc === "none" ? [] : [["--proc", "/proc"]]),
    ["--dev", "/dev"],
    ...(filesystem.devices.includes("mqueue") ? [["--mqueue", "/dev/mqueue"]] : []),
  ];
}

function mounted(mount: Mount): readonly (readonly string[])[] {
  switch (mount.type) {
    case "bind": {
      const kind = `${mount.readOnly ? "--ro-bind" : "--bind"}${mount.optional ? "-try" : ""}`;
      return [[kind, mount.source, mount.target]];
    }
    case "tmpfs":
      return [
        ["--perms", mount.mode.toString(8), "--size", `${mount.size}`, "--tmpfs", mount.target],
        ...(mount.readOnly ? [["--remount-ro", mount.target]] : []),
      ];
    case "symlink":
      return [["--symlink", mount.link, mount.target]];
    // Its content would have to come through a descriptor.
    case "file":
      return [];
  }
  return mount satisfies never;
}

function workdir({ filesystem }: Spec, cwd: string): readonly (readonly string[])[] {
  if (filesystem.workdir === "none") return [];
  return [[filesystem.workdir === "rw" ? "--bind" : "--ro-bind", cwd, cwd]];
}

function surroundings({ environment, process }: Spec): readonly (readonly string[])[] {
  return [
    ["--clearenv"],
    ...Object.entries(environment.set).map(([name, value]) => ["--setenv", name, value]),
    ...(process.workdir === null ? [["--chdir", "/"]] : [["--chdir", process.workdir]]),
  ];
}
