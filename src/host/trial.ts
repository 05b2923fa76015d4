/**
 * Takes host facts, puts what was deduced to the test in throw-away child processes: unshare(1) and mount(8) of util-linux
 * in namespaces that end with them. For `sandbox doctor`, never for a run: it costs tens of milliseconds and leaves nothing.
 */
import { spawnSync } from "node:child_process";
import { findInPath } from "./closure.ts";
import type { Ability, HostFacts } from "./facts.ts";

export interface Trial {
  /** As in the doctor's report: "user-namespaces", "namespaces", "proc", "overlay". */
  readonly control: string;
  readonly deduced: boolean;
  /** null: could not be tried. */
  readonly works: boolean | null;
  /** What the kernel said, or why it was not tried; "" when it worked. */
  readonly detail: string;
}

const TOOLS = "/usr/bin:/bin:/usr/sbin:/sbin";
/** Milliseconds; a namespace takes a few. */
const PATIENCE = 5000;

/** The shell commands run inside a new user and mount namespace; every mount is over a tmpfs of their own. */
const TRIALS: Readonly<
  Record<
    string,
    {
      readonly flags: readonly string[];
      readonly script: string;
      readonly deduced: (facts: HostFacts) => Ability;
    }
  >
> = {
  "user-namespaces": {
    flags: ["--user", "--map-root-user"],
    script: "exit 0",
    deduced: (facts) => facts.userNamespaces,
  },
  namespaces: {
    flags: [
      "--user",
      "--map-root-user",
      "--mount",
      "--pid",
      "--fork",
      "--net",
      "--ipc",
      "--uts",
      "--cgroup",
      "--time",
    ],
    script: "exit 0",
    deduced: (facts) =>
      Object.values(facts.namespaces).every(Boolean)
        ? facts.userNamespaces
        : { available: false, reason: "not every kind exists", fix: "" },
  },
  proc: {
    flags: ["--user", "--map-root-user", "--mount", "--pid", "--fork"],
    script: "mount -t tmpfs none /mnt && mkdir /mnt/proc && mount -t proc proc /mnt/proc",
    deduced: (facts) => (facts.userNamespaces.available ? facts.proc : facts.userNamespaces),
  },
  overlay: {
    flags: ["--user", "--map-root-user", "--mount"],
    script:
      "mount -t tmpfs none /mnt && cd /mnt && mkdir lower upper work merged && " +
      "mount -t overlay none -o lowerdir=lower,upperdir=upper,workdir=work merged && echo works > merged/file",
    deduced: (facts) => (facts.userNamespaces.available ? facts.overlay : facts.userNamespaces),
  },
};

/** One trial for each deduction that a child process can test. */
export function verifyByTrying(facts: HostFacts): readonly Trial[] {
  const unshare = findInPath("unshare", TOOLS);
  return Object.entries(TRIALS).map(([control, { flags, script, deduced }]) => {
    const expected = deduced(facts).available;
    if (unshare === null) {
      return { control, deduced: expected, works: null, detail: "unshare(1) of util-linux is not installed" };
    }
    const child = spawnSync(unshare, [...flags, "--", "/bin/sh", "-ec", script], {
      env: { PATH: TOOLS, LC_ALL: "C" },
      cwd: "/",
      stdio: ["ignore", "ignore", "pipe"],
      timeout: PATIENCE,
      killSignal: "SIGKILL",
      encoding: "utf8",
    });
    if (child.error !== undefined) {
      return { control, deduced: expected, works: null, detail: child.error.message };
    }
    const works = child.status === 0;
    return { control, deduced: expected, works, detail: works ? "" : child.stderr.trim().slice(0, 500) };
  });
}
