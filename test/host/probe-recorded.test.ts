import { describe, expect, test } from "vitest";
import { probeHost } from "../../src/host/probe.ts";
import { recorded, type Tree, textOf } from "./recorded.ts";
import {
  DELEGATED,
  DOCKER,
  DOCKER_PRIVILEGED,
  LOGIN,
  ROOT_HYBRID,
  ROOT_V1,
  ROOT_V2,
  SCOPE,
  TERMINAL,
} from "./trees.ts";

const probe = (tree: Tree) => probeHost(recorded(tree), "x86_64");
const changed = (tree: Tree, change: Tree): Tree => ({ ...tree, ...change });

describe("cgroups are found where they may be made", () => {
  test("a login session is not delegated, and the advice is the command that delegates", () => {
    const { cgroup } = probe(LOGIN);
    expect(cgroup.controllers).toEqual({});
    expect(cgroup.prepare).toBeNull();
    expect(cgroup.missing?.fix).toBe("systemd-run --user --scope -p Delegate=yes sandbox run ...");
  });

  test("a scope made for us is divided, and its processes move to a leaf first", () => {
    const { cgroup } = probe(DELEGATED);
    expect(cgroup.controllers.memory).toEqual({ version: 2, parent: SCOPE });
    expect(cgroup.prepare).toEqual({
      subtreeControl: `${SCOPE}/cgroup.subtree_control`,
      enable: ["memory", "cpu", "pids"],
      leaf: `${SCOPE}/sandbox-supervisor`,
    });
    expect(cgroup.swapAccounting).toBe(true);
    expect(cgroup.missing?.reason).toContain("io, cpuset");
  });

  test("a scope that is divided already needs nothing more", () => {
    const { cgroup } = probe(
      changed(DELEGATED, {
        "/proc/self/cgroup": `0::${SCOPE.slice("/sys/fs/cgroup".length)}/sandbox-supervisor\n`,
        [`${SCOPE}/cgroup.procs`]: { text: "", writable: true },
        [`${SCOPE}/cgroup.subtree_control`]: { text: "cpu memory pids\n", writable: true },
      }),
    );
    expect(cgroup.controllers.pids?.parent).toBe(SCOPE);
    expect(cgroup.prepare).toBeNull();
  });

  test("a terminal's own scope is left whole: the slice above hands controllers on", () => {
    const { cgroup } = probe(TERMINAL);
    expect(cgroup.controllers.memory?.parent).toMatch(/user@1000\.service\/app\.slice$/);
    expect(cgroup.prepare).toMatchObject({ enable: ["cpu"], leaf: null });
  });

  test("root goes below the nearest group that hands on memory and pids", () => {
    const { cgroup } = probe(ROOT_V2);
    expect(cgroup.controllers.memory?.parent).toBe("/sys/fs/cgroup/user.slice/user-0.slice");
    expect(cgroup.prepare).toBeNull();
  });

  test("the slice of a login may be gone tomorrow: what outlives it goes to the top of the tree, if that can have it", () => {
    const top = (change: Tree) => probe(changed(ROOT_V2, change)).cgroup.controllers.memory?.top;
    expect(top({})).toBe("/sys/fs/cgroup");
    // The top of a container's tree is not the true root: it holds processes or hands controllers on.
    const container: Tree = { "/sys/fs/cgroup/cgroup.type": "domain\n" };
    const divided: Tree = {
      "/sys/fs/cgroup/cgroup.subtree_control": { text: "memory pids\n", writable: true },
    };
    const whole: Tree = { "/sys/fs/cgroup/cgroup.subtree_control": { text: "\n", writable: true } };
    expect(top({ ...container, ...divided })).toBe("/sys/fs/cgroup");
    expect(top({ ...container, ...whole })).toBeUndefined();
  });

  test("the true root may hold processes, so it needs no leaf", () => {
    const { cgroup } = probe(changed(ROOT_V2, { "/proc/self/cgroup": "0::/\n" }));
    expect(cgroup.controllers.io?.parent).toBe("/sys/fs/cgroup");
    expect(cgroup.prepare).toEqual({
      subtreeControl: "/sys/fs/cgroup/cgroup.subtree_control",
      enable: ["cpuset"],
      leaf: null,
    });
    expect(cgroup.missing).toBeNull();
    expect(cgroup.swapAccounting).toBe(true);
  });

  test("a container's read-only cgroups are named as such", () => {
    const { cgroup } = probe(DOCKER);
    expect(cgroup.controllers).toEqual({});
    expect(cgroup.missing?.reason).toBe("the cgroup filesystem is mounted read-only");
  });

  test("processes of others keep a container's root from being divided, and the advice moves them", () => {
    const { cgroup } = probe(DOCKER_PRIVILEGED);
    expect(cgroup.controllers).toEqual({});
    expect(cgroup.missing?.fix).toContain("/sys/fs/cgroup/init/cgroup.procs");
  });

  test("alone in a container's root, our process moves to the leaf", () => {
    const { cgroup } = probe(
      changed(DOCKER_PRIVILEGED, { "/sys/fs/cgroup/cgroup.procs": { text: "7\n", writable: true } }),
    );
    expect(cgroup.prepare?.leaf).toBe("/sys/fs/cgroup/sandbox-supervisor");
  });

  test("v1: below our own group where it is visible, else at the root of the hierarchy", () => {
    const { cgroup } = probe(ROOT_V1);
    expect(cgroup.layout).toBe("v1");
    expect(cgroup.controllers.memory).toEqual({
      version: 1,
      parent: "/sys/fs/cgroup/memory/system.slice/job",
      top: "/sys/fs/cgroup/memory",
    });
    expect(cgroup.controllers.pids).toEqual({ version: 1, parent: "/sys/fs/cgroup/pids" });
    expect(cgroup.controllers.cpu?.parent).toBe("/sys/fs/cgroup/cpu,cpuacct");
    expect(cgroup.controllers.cpuacct?.parent).toBe("/sys/fs/cgroup/cpu,cpuacct");
    expect(cgroup.controllers.io?.parent).toBe("/sys/fs/cgroup/blkio");
    expect(cgroup.swapAccounting).toBe(true);
    expect(cgroup.missing).toBeNull();
  });

  test("hybrid: the controllers stay with v1, the empty v2 hierarchy is not prepared", () => {
    const { cgroup } = probe(ROOT_HYBRID);
    expect(cgroup.layout).toBe("hybrid");
    expect(new Set(Object.values(cgroup.controllers).map(({ version }) => version))).toEqual(new Set([1]));
    expect(cgroup.prepare).toBeNull();
  });

  test("an ordinary user gets no v1 group that is not theirs to write", () => {
    const tree = Object.fromEntries(
      Object.entries(ROOT_HYBRID).map(([path, entry]) => [
        path,
        typeof entry === "object" ? { ...entry, writable: false } : entry,
      ]),
    );
    const { cgroup } = probe(changed(tree, { "/proc/self/status": LOGIN["/proc/self/status"] ?? "" }));
    expect(cgroup.controllers).toEqual({});
    expect(cgroup.missing?.fix).toContain("root");
  });

  test("no hierarchy at all", () => {
    const { cgroup } = probe(changed(LOGIN, { "/proc/self/mountinfo": "22 1 8:1 / / rw - ext4 x rw\n" }));
    expect(cgroup).toMatchObject({ layout: "none", controllers: {}, prepare: null });
    expect(cgroup.missing?.fix).toContain("mount -t cgroup2");
  });
});

describe("user namespaces are judged before they are tried", () => {
  const cases: readonly (readonly [string, Tree, RegExp])[] = [
    ["turned off by count", { "/proc/sys/user/max_user_namespaces": "0\n" }, /max_user_namespaces=15000/],
    ["turned off for users", { "/proc/sys/kernel/unprivileged_userns_clone": "0\n" }, /userns_clone=1/],
    [
      "restricted by AppArmor",
      {
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n",
        "/proc/self/attr/current": "unconfined\n",
      },
      /apparmor_restrict_unprivileged_userns=0/,
    ],
    ["in a chroot", { "/proc/self/mountinfo": "23 22 0:21 / /proc rw - proc proc rw\n" }, /pivot_root/],
    [
      "in a chroot to a mount point",
      {
        "/proc/1/ns/mnt": { link: "mnt:[4026531837]" },
        "/proc/1/root": { type: "directory", key: "8:2" },
        "/proc/self/root": { type: "directory", key: "9:2" },
      },
      /pivot_root/,
    ],
  ];
  test.each(cases)("%s: unavailable, with the way out", (_, change, fix) => {
    const { userNamespaces } = probe(changed(LOGIN, change));
    expect(userNamespaces).toMatchObject({ available: false, fix: expect.stringMatching(fix) });
  });

  test("nothing of this holds root back but a count of zero and a chroot", () => {
    const change = {
      "/proc/sys/kernel/unprivileged_userns_clone": "0\n",
      "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n",
      "/proc/self/attr/current": "unconfined\n",
    };
    expect(probe(changed(ROOT_V2, change)).userNamespaces.available).toBe(true);
  });

  test("a program with an AppArmor profile of its own is not unconfined", () => {
    const tree = changed(LOGIN, {
      "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n",
      "/proc/self/attr/current": "sandbox (unconfined)\n",
    });
    expect(probe(tree).userNamespaces.available).toBe(true);
  });

  test("Docker's filter refuses them, Podman's does not", () => {
    expect(probe(DOCKER).userNamespaces.available).toBe(false);
    expect(probe(changed(DOCKER, { "/run/.containerenv": "" })).userNamespaces.available).toBe(true);
  });
});

describe("a private /proc needs a whole one", () => {
  test("covered files forbid it and the mount in the way is named", () => {
    const { proc } = probe(DOCKER);
    expect(proc).toHaveProperty("available", false);
    expect(JSON.stringify(proc)).toContain("/proc/bus");
  });
  test("binfmt_misc lies on a directory made for it and hides nothing", () => {
    expect(probe(LOGIN).proc.available).toBe(true);
  });
  test("a whole procfs elsewhere is enough", () => {
    const mountinfo = `${textOf(DOCKER, "/proc/self/mountinfo")}600 500 0:61 / /mnt/proc rw - proc proc rw\n`;
    expect(probe(changed(DOCKER, { "/proc/self/mountinfo": mountinfo })).proc.available).toBe(true);
  });
});

const map = (text: string): Tree => ({ "/proc/self/uid_map": text, "/proc/self/gid_map": text });

describe("ids", () => {
  test("an ordinary user has ranges by name and by number, and no base", () => {
    const facts = probe(LOGIN);
    expect(facts.user).toEqual({ uid: 1000, gid: 1000, groups: [27, 1000], name: "anna" });
    expect(facts.idBase).toBeNull();
    expect(facts.subordinate).toEqual({
      uid: [{ start: 100000, count: 65536 }],
      gid: [{ start: 100000, count: 65536 }],
      newuidmap: "/usr/bin/newuidmap",
      newgidmap: "/usr/bin/newgidmap",
    });
  });
  test("under no_new_privs the setuid helpers are worth nothing", () => {
    const status = textOf(LOGIN, "/proc/self/status").replace("NoNewPrivs:\t0", "NoNewPrivs:\t1");
    expect(probe(changed(LOGIN, { "/proc/self/status": status })).subordinate.newuidmap).toBeNull();
  });
  test("root maps to ids that nobody was given", () => {
    expect(probe(ROOT_V2).idBase).toBe(0x70000000);
  });
  test("root of a namespace takes the top of what exists there, and nothing when that is too small", () => {
    expect(probe(changed(ROOT_V2, map("0 100000 10000000\n"))).idBase).toBe(10000000 - 4194304);
    expect(probe(changed(ROOT_V2, map("0 100000 65536\n"))).idBase).toBeNull();
  });
});

describe("the host's tree", () => {
  test("what a system root shows of /etc holds no secret", () => {
    const shown = Object.keys(probe(LOGIN).systemEtc);
    expect(shown).toEqual(["/etc/ld.so.cache", "/etc/ssl/certs"]);
  });
  test.each([
    ["/usr/share/zoneinfo/Europe/Berlin", "Europe/Berlin"],
    ["../usr/share/zoneinfo/Etc/UTC", "Etc/UTC"],
    ["/usr/share/zoneinfo/../../../etc/shadow", null],
    ["/srv/zone", null],
  ])("a localtime that links to %s is the zone %s", (link, zone) => {
    expect(probe(changed(LOGIN, { "/etc/localtime": { link } })).timezone).toBe(zone);
  });
  test("links and directories of the top level are told apart", () => {
    expect(probe(LOGIN).systemRoot).toEqual({ "/usr": null, "/bin": "usr/bin", "/lib": "usr/lib" });
  });
});

test("versions and sizes are read as the kernel writes them", () => {
  const facts = probe(LOGIN);
  expect(facts.kernel).toEqual({ release: "6.1.0-37-amd64", major: 6, minor: 1 });
  expect(facts).toMatchObject({ cpus: 8, memory: 16270796 * 1024, libseccomp: "2.5.4", landlockAbi: 2 });
});

test("overlay: a module that is not loaded yet counts, an old kernel does not", () => {
  const none = changed(LOGIN, { "/proc/filesystems": "nodev\tproc\n" });
  expect(probe(none).overlay.available).toBe(false);
  const module = { "/lib/modules/6.1.0-37-amd64/kernel/fs/overlayfs/overlay.ko.xz": "" };
  expect(probe(changed(none, module)).overlay.available).toBe(true);
  expect(probe(changed(LOGIN, { "/proc/sys/kernel/osrelease": "5.10.0\n" })).overlay.available).toBe(false);
});
