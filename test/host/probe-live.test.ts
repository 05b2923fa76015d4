/** The probes against the machine that runs the tests, as its user and, when that is root, as an ordinary user too. */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, release, tmpdir, totalmem, userInfo } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { rolldown } from "rolldown";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { HostFacts } from "../../src/host/facts.ts";
import { probeHost } from "../../src/host/probe.ts";
import type { Trial } from "../../src/host/trial.ts";
import { verifyByTrying } from "../../src/host/trial.ts";
import { has, need, needRoot } from "./needs.ts";

const source = (name: string): string => fileURLToPath(new URL(`../../src/host/${name}`, import.meta.url));

test("ids, kernel and sizes are those of the system calls", () => {
  const facts = probeHost();
  const { uid, gid, username } = userInfo();
  expect(facts.user).toMatchObject({ uid, gid, name: username });
  const groups = process.getgroups?.() ?? [];
  expect(facts.user.groups.filter((group) => !groups.includes(group))).toEqual([]);
  expect(facts.kernel.release).toBe(release());
  expect(facts.memory).toBe(totalmem());
  expect(facts.cpus).toBeGreaterThanOrEqual(availableParallelism());
});

test("every cgroup directory that the facts name can really have a child", () => {
  const { controllers } = probeHost().cgroup;
  for (const parent of new Set(Object.values(controllers).map((entry) => entry.parent))) {
    const child = join(parent, `sandbox-test-probe-${process.pid}`);
    mkdirSync(child);
    rmdirSync(child);
  }
  expect(controllers).toBeTypeOf("object");
});

test("deductions agree with what the kernel does", (context) => {
  need(context, has("/usr/bin/unshare"), "unshare(1) is not installed");
  const trials = verifyByTrying(probeHost());
  expect(trials.filter(({ deduced, works }) => deduced !== works)).toEqual([]);
  expect(trials).toHaveLength(4);
});

describe("as an ordinary user", () => {
  let directory = "";
  beforeAll(async () => {
    directory = realpathSync(mkdtempSync(join(tmpdir(), "sandbox-probe-")));
    chmodSync(directory, 0o755);
    writeFileSync(
      join(directory, "entry.mjs"),
      `import { probeHost } from ${JSON.stringify(source("probe.ts"))};
       import { verifyByTrying } from ${JSON.stringify(source("trial.ts"))};
       const facts = probeHost();
       process.stdout.write(JSON.stringify({ facts, trials: verifyByTrying(facts) }));`,
    );
    const bundle = await rolldown({
      input: join(directory, "entry.mjs"),
      platform: "node",
      logLevel: "silent",
    });
    await bundle.write({ file: join(directory, "probe.mjs"), format: "esm" });
    await bundle.close();
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  test("nothing is promised that only root has, and the deductions hold", (context) => {
    needRoot(context);
    need(context, has("/usr/bin/setpriv"), "setpriv(1) is not installed");
    const text = execFileSync(
      "/usr/bin/setpriv",
      [
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        process.execPath,
        join(directory, "probe.mjs"),
      ],
      { encoding: "utf8", cwd: "/" },
    );
    const { facts, trials }: { facts: HostFacts; trials: readonly Trial[] } = JSON.parse(text);
    expect(facts.user).toMatchObject({ uid: 65534, gid: 65534, groups: [] });
    expect(facts).toMatchObject({ capabilities: [], idBase: null });
    expect(facts.idmappedMounts.available).toBe(false);
    expect(trials.filter(({ deduced, works }) => deduced !== works)).toEqual([]);
  });

  test("in a chroot user namespaces are known to be impossible", (context) => {
    needRoot(context);
    need(context, has("/usr/sbin/chroot"), "chroot(1) is not installed");
    // A plain directory with the host's tree bound below it: the root is then no mount point.
    const target = join(directory, "root");
    const script = `
      mkdir -p ${target}
      for entry in /* ; do
        if [ -L "$entry" ]; then cp -P "$entry" ${target}/; fi
      done
      for entry in /usr /etc /dev ${[...new Set(["/bin", "/lib", "/lib64", dirname(process.execPath), directory])].join(" ")} ; do
        if [ -d "$entry" ] && [ ! -e ${target}$entry/. ]; then
          mkdir -p ${target}$entry
          mount --bind "$entry" ${target}$entry
        fi
      done
      mkdir -p ${target}/proc
      mount --rbind /proc ${target}/proc
      exec chroot ${target} ${process.execPath} ${join(directory, "probe.mjs")}`;
    const text = execFileSync(
      "/usr/bin/unshare",
      ["--mount", "--propagation", "private", "--", "/bin/sh", "-ec", script],
      {
        encoding: "utf8",
      },
    );
    const { facts, trials }: { facts: HostFacts; trials: readonly Trial[] } = JSON.parse(text);
    expect(facts.userNamespaces.available).toBe(false);
    expect(trials.find(({ control }) => control === "user-namespaces")?.works).toBe(false);
  });
});

test("a probe is quick: the median of 30 is a few milliseconds at most", () => {
  const times = Array.from({ length: 30 }, () => {
    const start = performance.now();
    probeHost();
    return performance.now() - start;
  }).toSorted((a, b) => a - b);
  // Far above the usual millisecond, and far below the cost of one child process by mistake times thirty.
  expect(times[15]).toBeLessThan(20);
});
