/** What one layer opens and another closes is said at its place; what only looks like that is not. */
import { describe, expect, test } from "vitest";
import { crossCheck } from "../../src/compile/cross-check.ts";
import { formatProblem } from "../../src/problems.ts";
import { type Changes, resolved } from "../profile/resolved.ts";

const saidOf = (profile: string, changes: Changes = {}): readonly string[] =>
  crossCheck(resolved(profile, changes)).map(formatProblem);

const held = (...names: readonly string[]) => ({
  "/capabilities/bounding": names,
  "/capabilities/permitted": names,
  "/capabilities/effective": names,
});
const OPEN = { "/seccomp": null };
const bind = (target: string, ...options: readonly string[]) => [
  { type: "bind", source: "/data", target, options },
];

test.each(["strict", "standard", "build", "judge"])("the layers of %s agree", (profile) => {
  expect(saidOf(profile)).toEqual([]);
});

describe("a capability that no layer lets through", () => {
  test.each([
    ["CAP_SYS_CHROOT", "chroot, setns"],
    ["CAP_SYS_BOOT", "reboot, kexec_load, kexec_file_load"],
    ["CAP_SYS_TIME", "clock_settime, settimeofday, adjtimex, clock_adjtime, unshare, clone3"],
  ])("%s needs one of %s", (name, calls) => {
    expect(saidOf("strict", held(name))).toEqual([
      `--set: ${name} has no effect: the system-call filter refuses every call that asks for it (${calls}); leave it out, or let one of them through in seccomp.syscalls`,
    ]);
    expect(saidOf("strict", { ...held(name), ...OPEN })).toEqual([]);
    const [first] = calls.split(", ");
    const rule = { names: [first], action: "SCMP_ACT_ALLOW" };
    expect(saidOf("strict", { ...held(name), "/seccomp/syscalls/-": rule })).toEqual([]);
  });

  test.each(["CAP_SYS_MODULE", "CAP_SYSLOG", "CAP_SYS_RAWIO"])("%s is asked for outside", (name) => {
    expect(saidOf("strict", { ...held(name), ...OPEN })).toEqual([
      `--set: ${name} has no effect: the kernel asks for it in the host's user namespace, and the payload is in one of its own; leave it out`,
    ]);
  });

  test("one that is used through a call that is let through is none, nor one that many calls ask for", () => {
    expect(
      saidOf("strict", held("CAP_NET_BIND_SERVICE", "CAP_KILL", "CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE")),
    ).toEqual([]);
  });

  test("one that can be had but is not held is none", () => {
    expect(saidOf("strict", { "/capabilities/bounding": ["CAP_SYS_MODULE", "CAP_SYS_CHROOT"] })).toEqual([]);
  });
});

describe("ports that Landlock opens", () => {
  const local = [{ names: ["@basic-io", "@file-system", "@network-io"], action: "SCMP_ACT_ALLOW" }];

  test.each([
    ["bind_tcp", "stream"],
    ["connect_tcp", "stream"],
    ["bind_udp", "dgram"],
    ["connect_send_udp", "dgram"],
  ])("%s needs internet sockets of type %s", (right, type) => {
    const changes = { [`/landlock/net/${right}`]: [80, 443] };
    expect(saidOf("strict", changes)).toEqual([]);
    const message = `--set: it opens ports 80, 443, and the system-call filter closes them: no internet socket of type ${type} can be made; let it through in seccomp.syscalls, or give no ports`;
    expect(saidOf("strict", { ...changes, "/seccomp/syscalls": local })).toEqual([message]);
    expect(saidOf("strict", { [`/landlock/net/${right}`]: [], "/seccomp/syscalls": local })).toEqual([]);
  });

  test("and the call that takes one", () => {
    const rule = { names: ["bind"], action: "SCMP_ACT_ERRNO", errnoRet: 1 };
    expect(saidOf("strict", { "/landlock/net/bind_tcp": [80], "/seccomp/syscalls/-": rule })).toEqual([
      "--set: it opens ports 80, and the system-call filter closes them: bind, io_uring_setup cannot be called; let it through in seccomp.syscalls, or give no ports",
    ]);
  });
});

test("what a ring does is not refused with the call: neither the capability nor the port is without effect", () => {
  const closed = { names: ["bind"], action: "SCMP_ACT_ERRNO", errnoRet: 1 };
  const ringless = { ...closed, names: ["io_uring_setup"] };
  const changes = (...rules: readonly object[]) => ({
    ...held("CAP_NET_BIND_SERVICE"),
    "/landlock/net/bind_udp": [53],
    "/seccomp": { defaultAction: "SCMP_ACT_ALLOW", syscalls: rules },
  });
  expect(saidOf("strict", changes(closed, ringless))).toHaveLength(2);
  expect(saidOf("strict", changes(closed))).toEqual([]);
});

describe("a path that two fields speak of", () => {
  test("mounted and masked", () => {
    const masked = { "/filesystem/masked": ["/secret"] };
    const said =
      "--set: nobody can see it: /secret is masked, with all below it; leave out the mount or the mask";
    expect(saidOf("strict", { ...masked, "/filesystem/mounts": bind("/secret/data") })).toEqual([said]);
    expect(saidOf("strict", { ...masked, "/filesystem/mounts": bind("/secret") })).toEqual([said]);
    expect(saidOf("strict", { ...masked, "/filesystem/mounts": bind("/secrets") })).toEqual([]);
    expect(
      saidOf("strict", { "/filesystem/masked": ["/data/part"], "/filesystem/mounts": bind("/data") }),
    ).toEqual([]);
  });

  test("writable and read-only", () => {
    const fixed = { "/filesystem/readOnly": ["/fixed"] };
    expect(saidOf("strict", { ...fixed, "/filesystem/mounts": bind("/fixed/data", "rw") })).toEqual([
      "--set: it is to be written, and filesystem.readOnly has /fixed, with all below it; mount it read-only, or leave the path out of filesystem.readOnly",
    ]);
    expect(saidOf("strict", { ...fixed, "/filesystem/mounts": bind("/fixed/data", "ro") })).toEqual([]);
    expect(
      saidOf("strict", { "/filesystem/readOnly": ["/data/part"], "/filesystem/mounts": bind("/data", "rw") }),
    ).toEqual([]);
  });

  test("a profile that closes what it inherits means to", () => {
    expect(saidOf("strict", { "/filesystem/masked": ["/tmp"] })).toEqual([]);
    expect(saidOf("strict", { "/filesystem/readOnly": ["/tmp"] })).toEqual([]);
  });

  test("the working directory and masked", () => {
    expect(
      saidOf("strict", { "/filesystem/masked": ["/usr/share"], "/process/workdir": "/usr/share/doc" }),
    ).toEqual([
      "--set: /usr/share/doc is in /usr/share, which is masked; start in a directory that is shown",
    ]);
  });
});
