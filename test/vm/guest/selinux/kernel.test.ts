/** The bench itself: this kernel enforces Debian's SELinux policy, so what is shown here about the sandbox means something. */
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { expect, it } from "vitest";

it("the kernel's LSM is SELinux, enforcing, and AppArmor is not there", () => {
  const lsms = readFileSync("/sys/kernel/security/lsm", "utf8").split(",");
  expect(lsms).toContain("selinux");
  expect(lsms).not.toContain("apparmor");
  expect(readFileSync("/sys/fs/selinux/enforce", "utf8")).toBe("1");
});

it("files have their labels, and the tests the one of an administrator", () => {
  const label = (path: string) => execFileSync("stat", ["--format=%C", path], { encoding: "utf8" }).trim();
  expect(label("/etc/shadow")).toBe("system_u:object_r:shadow_t:s0");
  expect(label("/usr/bin/bash")).toBe("system_u:object_r:shell_exec_t:s0");
  expect(label("/project/package.json")).toBe("system_u:object_r:usr_t:s0");
  expect(readFileSync("/proc/self/attr/current", "utf8")).toMatch(/^unconfined_u:unconfined_r:unconfined_t:/);
});

it("a confined domain is denied what its policy does not allow, root or not", () => {
  writeFileSync("/tmp/secret", "secret\n");
  const read = (context: string) =>
    spawnSync("runcon", [context, "cat", "/tmp/secret"], { encoding: "utf8" });
  expect(read("unconfined_u:unconfined_r:unconfined_t:s0")).toMatchObject({ status: 0, stdout: "secret\n" });
  const confined = read("user_u:user_r:user_t:s0");
  expect(confined.stdout).toBe("");
  expect(confined.stderr).toContain("Permission denied");
});
