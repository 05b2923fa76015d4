/** The AppArmor profile of a profile: the text that is reviewed, what its rules come to, and that AppArmor's own parser takes it. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { describe, expect, it, type TestContext } from "vitest";
import { type AppArmorAbi, writeAppArmor } from "../../../src/compile/lsm/apparmor-policy.ts";
import { authorMounts } from "../../../src/compile/wanted-mounts.ts";
import { CAPABILITIES } from "../../../src/profile/capability-names.ts";
import { need } from "../../host/needs.ts";
import { type Changes, resolved } from "../../profile/resolved.ts";

const SHIPPED = ["strict", "standard", "build", "judge"] as const;
const CWD = "/home/user/work";

function policyOf(profile: string, changes: Changes = {}, abi: AppArmorAbi = "3.0") {
  const value = resolved(profile, changes, { cwd: CWD });
  return writeAppArmor({
    profile: value,
    mounts: authorMounts(value.spec, CWD),
    abi,
    digest: (text) => createHash("sha256").update(text).digest("hex"),
  });
}

const rulesOf = (profile: string, changes: Changes = {}, abi: AppArmorAbi = "3.0"): readonly string[] =>
  policyOf(profile, changes, abi)
    .text.split("\n")
    .filter((line) => /^ {2}[^# ]/.test(line))
    .map((line) => line.trim());

const bind = (target: string, ...options: readonly string[]) => ({
  type: "bind",
  source: "/data",
  target,
  options,
});

describe("the text", () => {
  it.each(SHIPPED)("of %s is the reviewed one", async (profile) => {
    await expect(policyOf(profile).text).toMatchFileSnapshot(`../../golden/apparmor/${profile}`);
  });

  it("is the same every time, and its name holds the digest of its rules", () => {
    const { name, text } = policyOf("build");
    expect(policyOf("build")).toEqual({ name, text });
    expect(name).toMatch(/^sandbox-build-[0-9a-f]{32}$/);
    expect(text).toContain(`profile ${name} flags=`);
    expect(policyOf("build", { "/resources/memory": "1G" }).name).toBe(name);
    expect(policyOf("build", { "/network/mode": "none" }).name).toBe(name);
    expect(policyOf("build", { "/filesystem/devices": ["null"] }).name).not.toBe(name);
    expect(policyOf("build", {}, "4.0").name).not.toBe(name);
  });

  it("says which line of which file, or which flag, asked for a rule", () => {
    const { text } = policyOf("strict", { "/filesystem/workdir": "ro" });
    expect(text).toMatch(/# tmpfs \(strict\.json:\d+ \/filesystem\/mounts\/0\)\n {2}\/tmp\//);
    expect(text).toContain(
      "# bind of /home/user/work (--set, /filesystem/workdir)\n  /home/user/work{,/,/**} mrkix,",
    );
  });

  it("is of a profile with any name", () => {
    expect(policyOf("strict", { "/name": "0.my-tool_2" }).name).toMatch(/^sandbox-0-my-tool-2-[0-9a-f]{32}$/);
  });
});

describe("files", () => {
  it.each<[string, readonly string[]]>([
    ["ro", ["/data{,/,/**} mrkix,"]],
    ["ro,noexec", ["/data{,/,/**} rk,"]],
    ["rw", ["/data{,/,/**} mrwlkix,"]],
    ["rw,noexec", ["/data{,/,/**} rwlk,"]],
  ])("a bind that is %s gives just that", (options, expected) => {
    const rules = rulesOf("strict", { "/filesystem/mounts": [bind("/data", ...options.split(","))] });
    expect(rules.filter((rule) => rule.includes("/data"))).toEqual(expected);
  });

  it("a tighter mount inside a looser one takes back what that gives", () => {
    const mounts = [bind("/data", "rw"), bind("/data/fixed", "ro", "noexec")];
    expect(
      rulesOf("strict", { "/filesystem/mounts": mounts }).filter((rule) => rule.includes("/data/fixed")),
    ).toEqual(["/data/fixed{,/,/**} rk,", "deny /data/fixed{,/,/**} mwlx,"]);
  });

  it("but nothing that a mount inside of it needs again: a deny has no exception", () => {
    const mounts = [
      bind("/data", "rw"),
      bind("/data/fixed", "ro", "noexec"),
      bind("/data/fixed/out", "rw", "noexec"),
    ];
    const rules = rulesOf("strict", { "/filesystem/mounts": mounts });
    expect(rules).toContain("deny /data/fixed{,/,/**} mx,");
    expect(rules).toContain("/data/fixed/out{,/,/**} rwlk,");
    expect(rules).toContain("deny /data/fixed/out{,/,/**} mx,");
  });

  it("a mount in the place of a system directory has the mount's rules alone", () => {
    const rules = rulesOf("strict", { "/filesystem/mounts": [bind("/usr", "ro", "noexec")] });
    expect(rules.filter((rule) => rule.startsWith("/usr"))).toEqual(["/usr{,/,/**} rk,"]);
  });

  it("a writable root is everything but /dev and /proc, which have rules of their own", () => {
    const [root] = rulesOf("standard");
    const glob = /^\/\{,\{(.*)\}\} mrwlkix,$/.exec(root ?? "")?.[1]?.split(",") ?? [];
    const patterns = glob.map((one) => new RegExp(`^/${one.replaceAll("**", ".*")}$`));
    const matches = (path: string): boolean => patterns.some((pattern) => pattern.test(path));
    for (const path of [
      "/d",
      "/de",
      "/deb",
      "/devel",
      "/dex/y",
      "/p",
      "/proce",
      "/procs/1",
      "/home/x",
      "/usr/bin/dev",
      "/prod/proc",
    ])
      expect(matches(path), path).toBe(true);
    for (const path of ["/dev", "/dev/", "/dev/null", "/proc", "/proc/", "/proc/1/mem"])
      expect(matches(path), path).toBe(false);
  });

  it("what is masked is denied where a rule would show it", () => {
    expect(rulesOf("standard")).toContain("deny /proc/kcore{,/,/**} mrwlkx,");
    expect(rulesOf("strict").filter((rule) => rule.startsWith("deny"))).toEqual([]);
    const rules = rulesOf("strict", { "/filesystem/masked/-": "/usr/share/secret" });
    expect(rules).toContain("deny /usr/share/secret{,/,/**} mrwlkx,");
  });

  it("what lies below a link into /usr has its rule where the link leads, too: AppArmor sees that name alone", () => {
    const changes = {
      "/filesystem/mounts": [bind("/lib/data", "rw", "noexec"), bind("/lib64", "ro")],
      "/filesystem/masked": ["/bin/su", "/library", "/usr/lib/x"],
    };
    expect(
      rulesOf("strict", changes).filter((rule) => /^(deny )?\/(\{,usr\/\}|lib|usr\/lib\/)/.test(rule)),
    ).toEqual([
      "/lib/{,**} mrkix,",
      "/lib32/{,**} mrkix,",
      "/libx32/{,**} mrkix,",
      "/{,usr/}lib/data{,/,/**} rwlk,",
      "deny /{,usr/}lib/data{,/,/**} mx,",
      "/lib64{,/,/**} mrkix,",
      "deny /{,usr/}bin/su{,/,/**} mrwlkx,",
      "deny /usr/lib/x{,/,/**} mrwlkx,",
    ]);
  });

  it("/proc/sys can be written only where it is not read-only", () => {
    expect(rulesOf("standard").filter((rule) => rule.includes("/proc/sys"))).toEqual([]);
    expect(rulesOf("standard", { "/filesystem/readOnly": [] })).toContain("/proc/sys/** w,");
  });

  it("nothing in /proc that is somebody else's can be written, nor can labels", () => {
    for (const profile of SHIPPED)
      for (const rule of rulesOf(profile).filter((line) => line.startsWith("/proc")))
        expect(rule).not.toMatch(/attr|\*\*.* .*w/);
  });
});

describe("the rest follows the profile", () => {
  it("a capability that can be had has a rule, and no other", () => {
    const changes = { "/capabilities/bounding": ["CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT"] };
    expect(rulesOf("strict").filter((rule) => rule.startsWith("capability"))).toEqual([]);
    expect(rulesOf("strict", changes).filter((rule) => rule.startsWith("capability"))).toEqual([
      "capability net_bind_service,",
      "capability sys_chroot,",
    ]);
  });

  it("only sockets that the filter lets be made", () => {
    const networks = (profile: string, changes: Changes = {}) =>
      rulesOf(profile, changes).filter((rule) => rule.startsWith("network"));
    expect(networks("strict")).toContain("network inet stream,");
    for (const family of ["alg", "packet", "vsock", "can", "bluetooth", "key"])
      expect(networks("standard").join()).not.toContain(family);
    expect(networks("strict", { "/seccomp": null })).toContain("network alg,");
  });

  it.each([
    ["mount,", { "/seccomp": null, "/capabilities/bounding": ["CAP_SYS_ADMIN"] }],
    ["/memfd:* mrwkix,", { "/seccomp": null }],
    ["ptrace peer=@{own},", { "/seccomp": null }],
    ["userns,", { "/seccomp": null }],
    ["io_uring,", { "/seccomp": null }],
  ])("%s is for a profile that lets it through", (rule, changes) => {
    expect(rulesOf("strict", {}, "4.0")).not.toContain(rule);
    expect(rulesOf("strict", changes, "4.0")).toContain(rule);
  });

  it("classes that the older language does not know are not named in it", () => {
    const rules = rulesOf("strict", { "/seccomp": null });
    for (const rule of ["userns,", "io_uring,", "mqueue,"]) expect(rules).not.toContain(rule);
  });
});

describe("apparmor_parser", () => {
  const PARSER = "/usr/sbin/apparmor_parser";
  const parse = (context: TestContext, text: string) => {
    need(context, existsSync(PARSER), "apparmor_parser is not installed");
    const { status, stderr } = spawnSync(PARSER, ["-QKT"], { input: text, encoding: "utf8" });
    // It complains of a kernel without AppArmor, on any machine that is not one.
    return { status, stderr: stderr.replace(/^Cache read\/write disabled.*\n/m, "") };
  };
  const TAKEN = { status: 0, stderr: "" };

  it.for(SHIPPED)("takes that of %s", (profile, context) => {
    expect(parse(context, policyOf(profile).text)).toEqual(TAKEN);
  });

  it("takes one with every capability and every socket", (context) => {
    const changes = { "/seccomp": null, "/capabilities/bounding": CAPABILITIES };
    expect(parse(context, policyOf("standard", changes).text)).toEqual(TAKEN);
  });

  it("takes any path, as that path and as nothing else", (context) => {
    // Bytes 1 to 127, and more than one byte, each in the middle of a name.
    const odd = Array.from({ length: 127 }, (_, index) => String.fromCharCode(index + 1)).filter(
      (character) => character !== "/",
    );
    for (const characters of [odd.join(""), odd.toReversed().join(""), "ü\u0085\u{1f512}@{HOME}$x**"]) {
      const path = `/a${characters}z`;
      const file = { type: "file", target: path, content: "" };
      const rule = rulesOf("strict", { "/filesystem/mounts": [file] }).find((line) => line.startsWith('"/a'));
      expect(automaton(context, `${rule}`)).toEqual([...Buffer.from(path)]);
    }
  });

  /** The bytes that lead to the only end of the automaton that the parser makes of one rule; fails if it has a choice. */
  function automaton(context: TestContext, rule: string): readonly number[] {
    need(context, existsSync(PARSER), "apparmor_parser is not installed");
    const input = Buffer.from(`abi <abi/3.0>,\nprofile x {\n${rule}\n}\n`);
    const { stderr, stdout } = spawnSync(PARSER, ["-QKT", "-D", "dfa-states"], { input, encoding: "latin1" });
    const steps = (stderr + stdout).matchAll(/^ +.*? ?(0x[0-9a-f]+) -> \{(\d+)\}/gms);
    return [...steps].map(([, byte, state], index) => {
      expect(Number(state)).toBe(index + 2);
      return Number(byte);
    });
  }
});
