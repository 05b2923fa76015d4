/** The bench itself: this kernel enforces AppArmor, so what is shown here about the sandbox means something. */
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";

const NAME = "sandbox-bench";

it("the kernel's LSM is AppArmor, and SELinux is not there", () => {
  const lsms = readFileSync("/sys/kernel/security/lsm", "utf8").split(",");
  expect(lsms).toContain("apparmor");
  expect(lsms).not.toContain("selinux");
  expect(readFileSync("/sys/module/apparmor/parameters/enabled", "utf8").trim()).toBe("Y");
});

it("a loaded profile denies what it denies, and is gone when it is removed", () => {
  // The pipes that Node starts programs with are sockets: without `network` and `unix` they are taken away at the exec.
  const text = `profile ${NAME} flags=(attach_disconnected) { file, network, unix, deny /etc/hostname r, }`;
  const confined = () =>
    spawnSync(
      "/bin/sh",
      [
        "-c",
        `echo 'exec ${NAME}' > /proc/self/attr/apparmor/exec && exec cat /proc/self/attr/apparmor/current /etc/hostname`,
      ],
      { encoding: "utf8" },
    );
  // There is nothing of this name to change to.
  expect(confined()).toMatchObject({ status: 1, stdout: "" });
  execFileSync("apparmor_parser", ["--replace"], { input: text });
  try {
    expect(confined()).toMatchObject({
      stdout: `${NAME} (enforce)\n`,
      stderr: "cat: /etc/hostname: Permission denied\n",
    });
  } finally {
    execFileSync("apparmor_parser", ["--remove"], { input: text });
  }
  expect(confined()).toMatchObject({ status: 1, stdout: "" });
});
