/**
 * Where cgroups of ours may be made, per controller. Takes /proc/self/cgroup, mountinfo and the cgroup directories'
 * permissions; writes nothing. The rules are those of cgroups(7) and of the kernel's cgroup-v2 document, section "Delegation".
 */
import type { CgroupController, CgroupFacts, Controller } from "./facts.ts";
import type { HostFiles } from "./files.ts";
import type { MountRecord } from "./mountinfo.ts";

/** Name of the cgroup that our own processes move to when the parent must hold no processes. */
export const SUPERVISOR_LEAF = "sandbox-supervisor";

const V1_NAMES: Readonly<Record<string, Controller>> = {
  memory: "memory",
  cpu: "cpu",
  cpuacct: "cpuacct",
  pids: "pids",
  blkio: "io",
  cpuset: "cpuset",
  freezer: "freezer",
};
/** What a v2 cgroup must have to be worth using, and what else is taken when it is there. */
const NEEDED: readonly Controller[] = ["memory", "pids"];
const WANTED: readonly Controller[] = ["memory", "cpu", "pids", "io", "cpuset"];

/** Path of the caller's cgroup per hierarchy: by v1 controller name, and "" for v2. */
export function parseOwnCgroups(text: string): ReadonlyMap<string, string> {
  const own = new Map<string, string>();
  for (const line of text.split("\n")) {
    const match = /^(\d+):([^:]*):(.*)$/.exec(line);
    if (match === null) continue;
    for (const name of (match[2] ?? "").split(",")) own.set(name, match[3] ?? "/");
  }
  return own;
}

/** Where a cgroup path is visible below a mount of its hierarchy; null when it lies outside of what is mounted. */
function locate(mount: MountRecord, path: string): string | null {
  const root = mount.root === "/" ? "" : mount.root;
  if (path !== root && !path.startsWith(`${root}/`)) return null;
  if (path.startsWith("/..")) return null;
  const below = path.slice(root.length);
  return below === "" || below === "/" ? mount.target : mount.target + below;
}

/** A child may be made here and processes moved into it: mkdir in the directory, and its cgroup.procs is ours to write. */
function usable(files: HostFiles, directory: string): boolean {
  return files.writable(directory) && files.writable(`${directory}/cgroup.procs`);
}

/** v1: each hierarchy by itself; below our own cgroup, so that the limits around us hold for the sandbox too. */
function probeV1(
  files: HostFiles,
  mounts: readonly MountRecord[],
  own: ReadonlyMap<string, string>,
): Partial<Record<Controller, CgroupController>> {
  const found: Partial<Record<Controller, CgroupController>> = {};
  for (const mount of mounts) {
    if (mount.fsType !== "cgroup") continue;
    for (const option of mount.superOptions) {
      const controller = V1_NAMES[option];
      if (controller === undefined || found[controller] !== undefined) continue;
      const ownDirectory = locate(mount, own.get(option) ?? "/");
      const [parent, top] = [ownDirectory, mount.target].filter(
        (directory): directory is string =>
          directory !== null && directory !== undefined && usable(files, directory),
      );
      if (parent === undefined) continue;
      found[controller] =
        top === undefined || top === parent ? { version: 1, parent } : { version: 1, parent, top };
    }
  }
  return found;
}

function controllersIn(files: HostFiles, file: string): readonly Controller[] {
  const names = (files.read(file) ?? "").trim().split(/\s+/);
  return WANTED.filter((controller) => names.includes(controller));
}

interface V2Place {
  readonly parent: string;
  /** The top of the mounted tree, where it is usable and another one: the true root, or one that hands controllers on already. */
  readonly top: string | null;
  readonly controllers: readonly Controller[];
  readonly prepare: CgroupFacts["prepare"];
}

/** Processes that keep a cgroup from handing controllers on and are not us. The true root, without cgroup.type, may hold any. */
function strangersIn(files: HostFiles, directory: string, pid: number): readonly string[] {
  if (files.status(`${directory}/cgroup.type`) === null) return [];
  return (files.read(`${directory}/cgroup.procs`) ?? "")
    .split("\n")
    .filter((line) => line !== "" && line !== String(pid));
}

/** A transient unit of systemd-run(1): made for this command, so its cgroup is ours to divide. */
const TRANSIENT_UNIT = /\/run-[^/]*\.(?:scope|service)$/;

/**
 * v2: the nearest usable cgroup at or above our own. Processes may not live in a cgroup that hands controllers on (the
 * root excepted), so first choice is an ancestor that hands them on already. Our own cgroup is divided, by moving its
 * processes into a leaf, when a transient unit was made for us, or when nothing above is usable and no stranger is in it.
 */
function probeV2(files: HostFiles, mount: MountRecord, ownPath: string, pid: number): V2Place | null {
  const own = locate(mount, ownPath);
  const chain: string[] = [];
  for (let at = own ?? mount.target; ; at = at.slice(0, at.lastIndexOf("/"))) {
    chain.push(at);
    if (at === mount.target || !at.startsWith(`${mount.target}/`)) break;
  }
  const places = chain.filter((directory) => usable(files, directory));

  const handsOn = (directory: string): boolean => {
    const enabled = controllersIn(files, `${directory}/cgroup.subtree_control`);
    return NEEDED.every((controller) => enabled.includes(controller));
  };
  const ready = places.find(handsOn);
  const divisible = places.find(
    (directory) =>
      files.writable(`${directory}/cgroup.subtree_control`) &&
      controllersIn(files, `${directory}/cgroup.controllers`).length > 0 &&
      (TRANSIENT_UNIT.test(directory) || strangersIn(files, directory, pid).length === 0),
  );
  const parent =
    divisible !== undefined && divisible === own && TRANSIENT_UNIT.test(own) ? own : (ready ?? divisible);
  if (parent === undefined) return null;

  const subtreeControl = `${parent}/cgroup.subtree_control`;
  const enabled = controllersIn(files, subtreeControl);
  const offered = controllersIn(files, `${parent}/cgroup.controllers`);
  const enable = files.writable(subtreeControl)
    ? offered.filter((controller) => !enabled.includes(controller))
    : [];
  // Only a true root, which has no cgroup.type, may hold processes and hand controllers on.
  const holdsProcesses =
    files.status(`${parent}/cgroup.type`) !== null &&
    (files.read(`${parent}/cgroup.procs`) ?? "").trim() !== "";
  const top = mount.target;
  const trueRoot = files.status(`${top}/cgroup.type`) === null;
  return {
    parent,
    top: top !== parent && places.includes(top) && (trueRoot || handsOn(top)) ? top : null,
    controllers: WANTED.filter((controller) => enabled.includes(controller) || enable.includes(controller)),
    prepare:
      enable.length === 0
        ? null
        : { subtreeControl, enable, leaf: holdsProcesses ? `${parent}/${SUPERVISOR_LEAF}` : null },
  };
}

function layoutOf(mounts: readonly MountRecord[]): CgroupFacts["layout"] {
  const v2 = mounts.some((mount) => mount.fsType === "cgroup2");
  const v1 = mounts.some(
    (mount) => mount.fsType === "cgroup" && mount.superOptions.some((option) => option in V1_NAMES),
  );
  return v1 ? (v2 ? "hybrid" : "v1") : v2 ? "v2" : "none";
}

function explainMissing(
  layout: CgroupFacts["layout"],
  missing: readonly Controller[],
  mounts: readonly MountRecord[],
  crowded: string | null,
  admin: boolean,
): CgroupFacts["missing"] {
  if (missing.length === 0) return null;
  const names = missing.join(", ");
  const total = missing.length === WANTED.length;
  const hierarchies = mounts.filter((mount) => mount.fsType.startsWith("cgroup"));
  if (layout === "none") {
    return { reason: "no cgroup hierarchy is mounted", fix: "sudo mount -t cgroup2 none /sys/fs/cgroup" };
  }
  if (total && hierarchies.every((mount) => mount.options.includes("ro"))) {
    return {
      reason: "the cgroup filesystem is mounted read-only",
      fix: "mount it writable; in a container: docker run --privileged --cgroupns=private ...",
    };
  }
  if (total && crowded !== null) {
    return {
      reason: `other processes live in ${crowded}, so it can hand no controller to a cgroup below`,
      fix: admin
        ? `mkdir -p ${crowded}/init && for p in $(cat ${crowded}/cgroup.procs); do echo $p > ${crowded}/init/cgroup.procs; done`
        : "systemd-run --user --scope -p Delegate=yes sandbox run ...",
    };
  }
  if (admin) {
    return {
      reason: `no writable cgroup has the controllers ${names}`,
      fix: "boot with these controllers on (no cgroup_disable= on the kernel command line)",
    };
  }
  if (layout !== "v2") {
    return {
      reason: `cgroup v1 controllers (${names}) cannot be handed to an ordinary user safely`,
      fix: "run as root, or boot with systemd.unified_cgroup_hierarchy=1",
    };
  }
  return total
    ? {
        reason: "the cgroup this process is in was not delegated to this user",
        fix: "systemd-run --user --scope -p Delegate=yes sandbox run ...",
      }
    : {
        reason: `the delegated cgroup lacks the controllers ${names}`,
        fix: `sudo mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' | sudo tee /etc/systemd/system/user@.service.d/delegate.conf && sudo systemctl daemon-reload`,
      };
}

/** v1: memory.memsw.*, v2: memory.swap.max, which the true root does not have: there a kernel with swap is enough. */
function probeSwap(files: HostFiles, memory: CgroupController | undefined): boolean {
  if (memory === undefined) return false;
  if (memory.version === 1) return files.status(`${memory.parent}/memory.memsw.limit_in_bytes`) !== null;
  if (files.status(`${memory.parent}/memory.max`) === null) return files.status("/proc/swaps") !== null;
  return files.status(`${memory.parent}/memory.swap.max`) !== null;
}

/** A usable v2 cgroup of the caller's that strangers keep from being divided: a reason, not a place. */
function crowdedCgroup(files: HostFiles, mount: MountRecord, ownPath: string, pid: number): string | null {
  const own = locate(mount, ownPath);
  return own !== null && usable(files, own) && strangersIn(files, own, pid).length > 0 ? own : null;
}

/**
 * @param pid - our own process id as /proc shows it.
 * @param admin - whether the caller has CAP_SYS_ADMIN, for the advice only: what may be written is asked of the kernel.
 */
export function probeCgroup(
  files: HostFiles,
  mounts: readonly MountRecord[],
  pid: number,
  admin: boolean,
): CgroupFacts {
  const own = parseOwnCgroups(files.read("/proc/self/cgroup") ?? "");
  const layout = layoutOf(mounts);
  const controllers: Partial<Record<Controller, CgroupController>> = probeV1(files, mounts, own);
  const v2Mount = mounts.find((mount) => mount.fsType === "cgroup2");
  const v2 = v2Mount === undefined ? null : probeV2(files, v2Mount, own.get("") ?? "/", pid);
  const crowded =
    v2 === null && v2Mount !== undefined ? crowdedCgroup(files, v2Mount, own.get("") ?? "/", pid) : null;
  for (const controller of v2?.controllers ?? []) {
    if (v2 === null) continue;
    const { parent, top } = v2;
    controllers[controller] ??= top === null ? { version: 2, parent } : { version: 2, parent, top };
  }
  const used = v2 !== null && WANTED.some((controller) => controllers[controller]?.version === 2);
  const missing = WANTED.filter((controller) => controllers[controller] === undefined);
  return {
    layout,
    controllers,
    prepare: used ? v2.prepare : null,
    swapAccounting: probeSwap(files, controllers.memory),
    missing: explainMissing(layout, missing, mounts, layout === "v2" ? crowded : null, admin),
  };
}
