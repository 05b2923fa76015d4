/** What only root can set up to be tried: mounts below a bind, and an account with subordinate ids. All in a mount namespace of its own. */
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { need, needRoot } from "../host/needs.ts";
import { scratch } from "../library/support.ts";
import { cli } from "../live/harness.ts";

const CLI = resolve(dirname(fileURLToPath(import.meta.url)), "../../dist/bin/sandbox.cjs");

/** A shell script as root in a private mount namespace; the machine's mounts and files stay as they are. */
function privately(script: string, env: Readonly<Record<string, string>>) {
  return spawnSync("unshare", ["--mount", "--propagation", "private", "/bin/sh", "-ec", script], {
    encoding: "utf8",
    timeout: 20_000,
    env: { PATH: "/usr/bin:/bin:/usr/sbin:/sbin", NODE: process.execPath, CLI, ...env },
  });
}

describe("a bind with another mount below it", () => {
  const prepare =
    'mkdir -p "$AT/tree/below"; mount -t tmpfs none "$AT/tree/below"; echo deep > "$AT/tree/below/file"; chmod -R a+rX "$AT"';
  const run = '"$NODE" "$CLI" run --audit "$AT/log" --bind "$AT/tree:/data$MODE" -- /bin/sh -c';

  test("shows it, and is read-only all the way down", (context) => {
    needRoot(context);
    need(context, existsSync(CLI), "dist is not built");
    const AT = scratch();
    chmodSync(AT, 0o755);
    const ran = privately(
      `${prepare}; ${run} 'cat /data/below/file; touch /data/below/new || echo refused'`,
      { AT, MODE: "" },
    );
    expect(ran.stdout).toBe("deep\nrefused\n");
    expect(ran.stderr).toContain("Read-only file system");
  });
});

describe("an ordinary user with subordinate ids", () => {
  test("gets its range through newuidmap", (context) => {
    needRoot(context);
    need(context, existsSync("/usr/bin/newuidmap"), "the package uidmap is not installed");
    need(context, existsSync(CLI), "dist is not built");
    const AT = scratch();
    chmodSync(AT, 0o755);
    mkdirSync(join(AT, "home"));
    execFileSync("chown", ["65534:65534", join(AT, "home")]);
    const account = execFileSync("getent", ["passwd", "65534"], { encoding: "utf8" }).split(":")[0] ?? "";
    writeFileSync(join(AT, "subids"), `${account}:700000:65536\n`);
    const script = [
      'mount --bind "$AT/subids" /etc/subuid',
      'mount --bind "$AT/subids" /etc/subgid',
      'cd "$AT/home"',
      `setpriv --reuid 65534 --regid 65534 --clear-groups env HOME="$AT/home" XDG_STATE_HOME="$AT/home" XDG_CACHE_HOME="$AT/home" "$NODE" "$CLI" run --audit "$AT/home/log" --set '/identity/map="subordinate"' -- /bin/sh -c 'cat /proc/self/uid_map; id -u'`,
    ].join("\n");
    const ran = privately(script, { AT, CLI: cli("user") });
    expect(ran.stderr).toBe("");
    expect(ran.stdout.replaceAll(/ +/g, " ")).toBe(" 0 700000 65536\n1000\n");
  });
});
