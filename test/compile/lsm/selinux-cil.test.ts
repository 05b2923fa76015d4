/** The SELinux module of a profile: the text that is reviewed, and what SELinux's own compiler proves about it. */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeSelinuxModule } from "../../../src/compile/lsm/selinux-cil.ts";
import { need } from "../../host/needs.ts";
import { type Changes, resolved } from "../../profile/resolved.ts";
import { BasePolicy, missingTools } from "./base-policy.ts";

const SHIPPED = ["strict", "standard", "build", "judge"] as const;
const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

const moduleOf = (profile: string, changes: Changes = {}) =>
  writeSelinuxModule(resolved(profile, changes), sha256);

describe("the text", () => {
  it.each(SHIPPED)("of %s is the reviewed one", async (profile) => {
    await expect(moduleOf(profile).text).toMatchFileSnapshot(`../../golden/selinux/sandbox_${profile}.cil`);
  });

  it("is the same every time", () => {
    expect(moduleOf("build")).toEqual(moduleOf("build"));
  });

  it("has a version that changes with the rules, and not with limits or places of values", () => {
    const { digest } = moduleOf("strict");
    expect(moduleOf("strict", { "/resources/memory": "1G" }).digest).toBe(digest);
    expect(moduleOf("strict", { "/network/mode": "none" }).digest).toBe(digest);
    expect(moduleOf("strict", { "/filesystem/devices": ["null"] }).digest).not.toBe(digest);
    expect(moduleOf("strict").text).toContain(`(typealias rules_${digest.slice(0, 16)})`);
  });

  it("says which line of which file, or which flag, asked for a group of rules", () => {
    const { text } = moduleOf("strict", { "/filesystem/workdir": "ro" });
    expect(text).toMatch(/; Devices: null, .* \(base\.json:\d+ \/filesystem\/devices\)/);
    expect(text).toMatch(/; The working directory, read-only: .* \(--set, \/filesystem\/workdir\)/);
  });

  it("takes any profile's name", () => {
    expect(moduleOf("strict", { "/name": "0.my-tool_2" })).toMatchObject({ name: "sandbox_0_my-tool_2" });
  });

  it("has no statement that a path of the profile smuggled in", () => {
    const source = "/srv/data\n(allow payload shadow_t (file (read)))";
    const mounts = [{ type: "bind", source, target: "/data", options: ["ro"] }];
    const lines = moduleOf("strict", { "/filesystem/mounts": mounts }).text.split("\n");
    expect(lines.filter((line) => line.includes("shadow_t") && !line.trim().startsWith(";"))).toEqual([]);
  });
});

/**
 * What no payload may do: rules that secilc holds against every rule there is, and next to each a hole that it must find. `X` is the
 * module.
 */
const NEVER: Readonly<Record<string, readonly [rule: string, hole: string]>> = {
  "write what the root shows": [
    "(neverallow X.payload X.content (file (append create link rename setattr unlink write)))",
    "(allow X.payload X.content (file (append)))",
  ],
  "write the host's programs and settings, by itself or through a descriptor": [
    "(neverallow X.payload bin_t (file (append write))) (neverallow X.payload etc_t (file (append write)))",
    "(allow X.payload bin_t (file (append))) (allow X.payload etc_t (file (append)))",
  ],
  "make names in it": [
    "(neverallow X.payload X.content (dir (add_name create remove_name rmdir write)))",
    "(allow X.payload X.content (dir (add_name)))",
  ],
  "search a home": [
    "(neverallow X.payload user_home_t (dir (open read search write add_name)))",
    "(allow X.payload user_home_t (dir (search)))",
  ],
  "search the directories of homes": [
    "(neverallow X.payload home_root_t (dir (open read search)))",
    "(allow X.payload home_root_t (dir (search)))",
  ],
  "open a log": [
    "(neverallow X.payload var_log_t (file (open execute)))",
    "(allow X.payload var_log_t (file (open)))",
  ],
  "read passwords, even through a descriptor that it is given": [
    "(neverallow X.payload shadow_t (file (read)))",
    "(allow X.payload shadow_t (file (read)))",
  ],
  "trace or signal whoever launched it": [
    "(neverallow X.payload X.launcher (process (getattr ptrace sigkill signal)))",
    "(allow X.payload X.launcher (process (signal)))",
  ],
  "look into whoever launched it": [
    "(neverallow X.payload X.launcher (dir (search)))",
    "(allow X.payload X.launcher (dir (search)))",
  ],
  "become anything else": [
    "(neverallow X.payload domain (process (dyntransition transition)))",
    "(allow X.payload unconfined_t (process (transition)))",
  ],
  "choose labels": [
    "(neverallow X.payload self (process (setcurrent setexec setfscreate setkeycreate setsockcreate)))",
    "(allow X.payload self (process (setexec)))",
  ],
  "use a capability": [
    "(neverallow X.payload self (cap_userns (chown dac_override net_admin sys_admin sys_ptrace)))",
    "(allow X.payload self (cap_userns (sys_admin)))",
  ],
  "use a capability of the host": [
    "(neverallow X.payload self (capability (chown dac_override net_admin sys_admin sys_ptrace)))",
    "(allow X.payload self (capability (sys_admin)))",
  ],
  mount: [
    "(neverallow X.payload filesystem_type (filesystem (mount relabelfrom relabelto remount unmount)))",
    "(allow X.payload tmpfs_t (filesystem (mount)))",
  ],
  "change the policy": [
    "(neverallow X.payload security_t (security (load_policy setenforce setbool)))",
    "(allow X.payload security_t (security (setbool)))",
  ],
  "open a disk": [
    "(neverallow X.payload fixed_disk_device_t (blk_file (open read write)))",
    "(allow X.payload fixed_disk_device_t (blk_file (open)))",
  ],
};

/** One rule a line, so that a line number names it. */
const rulesFor = (profile: string, which: 0 | 1): string =>
  Object.values(NEVER)
    .map((pair) => pair[which])
    .join("\n")
    .replaceAll("X.", `sandbox_${profile}.`);

describe("linked with a base policy", () => {
  const missing = missingTools();
  let base: BasePolicy | null = null;
  beforeAll(() => {
    if (missing === null) base = new BasePolicy();
  }, 60_000);
  afterAll(() => base?.remove());
  const judge = (...modules: readonly string[]): string => {
    if (base === null) throw new Error("no base policy");
    return base.judge(...modules);
  };

  it("the modules of all shipped profiles resolve, together, and break no rule of it", (context) => {
    need(context, missing === null, missing ?? "");
    expect(judge(...SHIPPED.map((profile) => moduleOf(profile).text))).toBe("");
  });

  it("a profile with everything resolves", (context) => {
    need(context, missing === null, missing ?? "");
    const mounts = [
      { type: "bind", source: "/srv/data", target: "/data", options: ["ro"] },
      { type: "bind", source: "/home/me/out", target: "/out", options: ["rw", "noexec"] },
      { type: "bind", source: "/usr/share", target: "/share", options: ["ro"] },
      { type: "tmpfs", target: "/tmp", size: "1M" },
    ];
    const every = moduleOf("strict", {
      "/filesystem/mounts": mounts,
      "/filesystem/proc": "full",
      "/filesystem/write": "ephemeral",
      "/filesystem/workdir": "rw",
      "/filesystem/devices": [
        "null",
        "zero",
        "full",
        "random",
        "urandom",
        "tty",
        "pts",
        "shm",
        "mqueue",
        "fd",
      ],
      "/seccomp": null,
      "/noNewPrivileges": true,
      "/capabilities/bounding": ["CAP_CHOWN", "CAP_NET_BIND_SERVICE", "CAP_PERFMON"],
      "/network/mode": "host",
      "/namespaces/network": false,
    });
    expect(judge(every.text)).toBe("");
    expect(every.text).toContain("(allow payload payload (cap2_userns (perfmon)))");
  });

  it(`the payload may never ${Object.keys(NEVER).join(", ")}`, (context) => {
    need(context, missing === null, missing ?? "");
    expect(judge(moduleOf("strict").text, rulesFor("strict", 0))).toBe("");
  }, 60_000);

  it("and a module with holes is found out, hole by hole", (context) => {
    need(context, missing === null, missing ?? "");
    const said = judge(moduleOf("strict").text, rulesFor("strict", 0), rulesFor("strict", 1));
    const found = [...said.matchAll(/neverallow check failed at \S*module-1\.cil:(\d+)/g)].map((match) =>
      Number(match[1]),
    );
    expect([...new Set(found)].toSorted((a, b) => a - b)).toEqual(
      Object.keys(NEVER).map((_, index) => index + 1),
    );
  });
});
