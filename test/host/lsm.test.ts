/** What the files of a machine say about AppArmor and SELinux. */
import { describe, expect, test } from "vitest";
import type { HostFacts } from "../../src/host/facts.ts";
import { probeLsm } from "../../src/host/lsm.ts";
import { recorded, type Tree } from "./recorded.ts";

const ROOT = { capabilities: ["CAP_MAC_ADMIN"], initialUserNamespace: true };
const USER: typeof ROOT = { capabilities: [], initialUserNamespace: true };

const APPARMOR: Tree = {
  "/proc/self/attr/apparmor/current": "unconfined\n",
  "/sys/kernel/security/apparmor/.replace": { writable: true },
  "/usr/sbin/apparmor_parser": { mode: 0o755 },
  "/etc/apparmor.d/abi/3.0": "",
};
const SELINUX: Tree = {
  "/proc/self/attr/current": "unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023\0",
  "/sys/fs/selinux/enforce": "1",
  "/sys/fs/selinux/mls": "1",
  "/proc/self/ns/pid": { link: "pid:[4026531836]" },
};

const apparmor = (change: Tree = {}, caller = ROOT): HostFacts["lsm"]["apparmor"] =>
  probeLsm(recorded({ ...APPARMOR, ...change }), { ...caller, lsms: ["apparmor"] }).apparmor;
const selinux = (change: Tree = {}): HostFacts["lsm"]["selinux"] =>
  probeLsm(recorded({ ...SELINUX, ...change }), { ...USER, lsms: ["selinux"] }).selinux;

describe("AppArmor", () => {
  test("root of the host with the parser can load policy", () => {
    expect(apparmor()).toEqual({
      label: "unconfined",
      confined: false,
      load: { available: true },
      parser: "/usr/sbin/apparmor_parser",
      abi: "3.0",
      restrictsUserNamespaces: false,
    });
  });

  test.each<[string, Tree, typeof USER, RegExp]>([
    ["an ordinary user", {}, USER, /CAP_MAC_ADMIN/],
    ["root of a container", {}, { ...ROOT, initialUserNamespace: false }, /CAP_MAC_ADMIN/],
    ["no securityfs", { "/sys/kernel/security/apparmor/.replace": "" }, ROOT, /not there or not writable/],
  ])("%s cannot", (_, change, caller, reason) => {
    const load = apparmor(change, caller)?.load;
    expect(load).toMatchObject({ available: false, reason: expect.stringMatching(reason) });
  });

  test("without the parser there is nothing to compile a profile with", () => {
    const { "/usr/sbin/apparmor_parser": _, "/etc/apparmor.d/abi/3.0": __, ...rest } = APPARMOR;
    const facts = probeLsm(recorded(rest), { ...ROOT, lsms: ["apparmor"] }).apparmor;
    expect(facts).toMatchObject({ parser: null, abi: null, load: { available: false } });
  });

  test.each([
    ["docker-default (enforce)\n", "docker-default", true],
    ["a//&b (mixed)\n", "a//&b", true],
    ["a name with (brackets) (complain)\n", "a name with (brackets)", true],
    ["sandbox-userns-x (unconfined)\n", "sandbox-userns-x", false],
  ])("the label %j is that of %s, confined: %s", (text, label, holds) => {
    expect(apparmor({ "/proc/self/attr/apparmor/current": text })).toMatchObject({ label, confined: holds });
  });

  test("the newest language that the parser knows is named, and the limit on user namespaces", () => {
    expect(
      apparmor({
        "/etc/apparmor.d/abi/4.0": "",
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n",
      }),
    ).toMatchObject({ abi: "4.0", restrictsUserNamespaces: true });
  });
});

describe("SELinux", () => {
  test("mode, label and levels are those of the kernel's files", () => {
    expect(selinux()).toEqual({
      mode: "enforcing",
      label: "unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023",
      mls: true,
      initialPidNamespace: true,
    });
    expect(selinux({ "/sys/fs/selinux/enforce": "0" })?.mode).toBe("permissive");
    expect(selinux({ "/proc/self/ns/pid": { link: "pid:[4026532201]" } })?.initialPidNamespace).toBe(false);
    expect(selinux({ "/proc/self/ns/pid": {} })?.initialPidNamespace).toBe(false);
  });

  test("hidden files are no SELinux", () => {
    expect(selinux({ "/sys/fs/selinux/enforce": {} })).toBeNull();
  });
});

test("a module that is not in the kernel's list is not asked", () => {
  const files = recorded({ ...APPARMOR, ...SELINUX });
  expect(probeLsm(files, { ...ROOT, lsms: ["landlock"] })).toEqual({ apparmor: null, selinux: null });
});
