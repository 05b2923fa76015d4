/**
 * The two disks of a guest, as ext4 images made without mounting anything:
 * - the root: Debian packages, Node, the project's dependencies, the kernel's modules. Slow to make (seconds), so it is cached under
 *   a name that holds everything it was made from.
 * - the project: sources, build, tests, compiled test programs, the lists of what to run. Made for every run.
 *
 * Guests write to neither: the emulator keeps what they write in a temporary file.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { downloadPackages, resolvePackages, unpackPackages } from "./packages.mjs";
import { installPolicy, labelImage } from "./selinux.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const PROJECT = join(HERE, "../../..");
const WEEK = 7 * 24 * 3600 * 1000;

/** Files of an image belong to root whoever makes it: for others, in a user namespace where they are root. */
function asRoot(command, args) {
  const argv =
    process.getuid() === 0 ? [command, ...args] : ["unshare", "--map-root-user", "--", command, ...args];
  return execFileSync(argv[0], argv.slice(1), {
    encoding: "utf8",
    env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` },
    maxBuffer: 2 ** 28,
    stdio: ["ignore", "pipe", "pipe"],
  });
}

function makeImage(tree, image, spare) {
  const used = Number(
    execFileSync("du", ["-s", "--block-size=1M", tree], { encoding: "utf8" }).split("\t")[0],
  );
  const megabytes = Math.ceil(used * 1.15) + spare;
  // No journal: nobody reads the image after the guest has gone.
  asRoot("mke2fs", [
    "-q",
    "-F",
    "-t",
    "ext4",
    "-O",
    "^has_journal",
    "-m",
    "0",
    "-d",
    tree,
    image,
    `${megabytes}M`,
  ]);
}

/**
 * The kernel image and its modules, unpacked once per version.
 * @returns {{ image: string, modules: string, release: string }}
 */
export function kernelOf(cache, machine) {
  const files = resolvePackages(cache, machine.architecture, [machine.kernelPackage]).filter((file) =>
    /^linux-image-\d/.test(file),
  );
  if (files.length !== 1) throw new Error(`${machine.kernelPackage} names ${files.length} kernels`);
  const directory = join(cache, `kernel-${basename(files[0], ".deb")}`);
  if (!existsSync(directory)) {
    const work = mkdtempSync(join(cache, "arriving-"));
    try {
      const tree = join(work, "kernel");
      execFileSync("dpkg-deb", [
        "-x",
        join(downloadPackages(cache, machine.architecture, files), files[0]),
        tree,
      ]);
      settle(tree, directory);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  }
  const [image] = readdirSync(join(directory, "boot")).filter((name) => name.startsWith("vmlinuz-"));
  if (image === undefined) throw new Error(`no kernel in ${files[0]}`);
  const release = image.slice("vmlinuz-".length);
  return {
    image: join(directory, "boot", image),
    modules: join(directory, "lib/modules", release),
    release,
  };
}

/** Moves what is complete to where it is looked for; another bench that was faster has made the same. */
function settle(from, to) {
  try {
    renameSync(from, to);
  } catch (error) {
    if (!existsSync(to)) throw error;
  }
}

/** Of node_modules, what no test in a guest loads: compilers, linters. Half of the bytes. */
const LEFT_OUT =
  /^node_modules\/(@biomejs|@oxlint|@oxlint-tsgolint|@typescript|@types|oxlint|oxlint-tsgolint|typescript)(\/|$)/;

/** Modules that tests may want, beside all of fs, net and crypto; drivers are nine tenths of the rest. */
const DRIVERS = ["net/dummy.ko", "net/veth.ko", "net/tun.ko", "block/loop.ko"];

/** Megabytes for what tests write: /tmp is on this disk. A file of which nothing is written takes no space. */
const SPARE = 1024;

/**
 * The root image of a machine. Gives its path.
 * @param {string} cache
 * @param {import("./benches.mjs").Machine} machine
 * @param {ReturnType<typeof kernelOf>} kernel
 */
export function rootImage(cache, machine, kernel) {
  const files = resolvePackages(cache, machine.architecture, machine.packages);
  const modules = policyModules(machine);
  const recipe = [
    ...["image.mjs", "packages.mjs", "selinux.mjs"].map((name) => readFileSync(join(HERE, name), "utf8")),
    modules,
  ];
  const lock = readFileSync(join(PROJECT, "package-lock.json"), "utf8");
  const key = createHash("sha256")
    .update(JSON.stringify([machine, files, kernel.release, process.version, lock, recipe]))
    .digest("hex")
    .slice(0, 16);
  const image = join(cache, `root-${machine.architecture}-${key}.ext4`);
  if (existsSync(image)) {
    utimesSync(image, new Date(), new Date());
    return image;
  }
  console.log(`# making a root image: ${files.length} packages`);
  const work = mkdtempSync(join(cache, "arriving-"));
  try {
    const tree = join(work, "root");
    for (const name of ["bin", "sbin", "lib", "lib64"]) {
      mkdirSync(join(tree, "usr", name), { recursive: true });
      symlinkSync(`usr/${name}`, join(tree, name));
    }
    unpackPackages(downloadPackages(cache, machine.architecture, files), files, tree);
    addAccounts(tree);
    addFirstProgram(tree, machine.shell);
    if (machine.foreign) addOverlayModule(tree, kernel);
    else completeTree(tree, kernel);
    if (machine.policyModules !== undefined) installPolicy(tree, modules, asRoot);
    makeImage(tree, join(work, "image"), SPARE);
    if (machine.policyModules !== undefined) labelImage(tree, join(work, "image"), work, asRoot);
    settle(join(work, "image"), image);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  forgetOld(cache, image);
  return image;
}

/** CIL modules of a machine's policy, by file name: semodule takes a minute and a half in a guest, so what tests need is there at boot. */
function policyModules({ policyModules: directory, permissiveModule }) {
  if (directory === undefined) return {};
  const modules = Object.fromEntries(
    readdirSync(join(PROJECT, directory))
      .filter((name) => name.endsWith(".cil"))
      .toSorted()
      .map((name) => [name, readFileSync(join(PROJECT, directory, name), "utf8")]),
  );
  const command = [join(PROJECT, "dist/bin/sandbox.cjs"), "profile", "export", "strict", "--to", "selinux"];
  const text = execFileSync(process.execPath, [...command, "--set", `/name="${permissiveModule}"`], {
    encoding: "utf8",
  });
  const permissive = `(typepermissive sandbox_${permissiveModule}.payload)\n`;
  return { ...modules, [`sandbox_${permissiveModule}.cil`]: text + permissive };
}

/** root; nobody, who has no subordinate ids; and a person, who has. */
function addAccounts(tree) {
  mkdirSync(join(tree, "etc"), { recursive: true });
  const write = (path, text) => writeFileSync(join(tree, "etc", path), text);
  write(
    "passwd",
    "root:x:0:0:root:/root:/bin/bash\nperson:x:1000:1000:a person:/home/person:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
  );
  write("group", "root:x:0:\ntty:x:5:\nutmp:x:43:\nshadow:x:42:\nperson:x:1000:\nnogroup:x:65534:\n");
  write("shadow", "root:*:19000:0:99999:7:::\nperson:*:19000:0:99999:7:::\n");
  chmodSync(join(tree, "etc/shadow"), 0o640);
  write("subuid", "person:100000:65536\n");
  write("subgid", "person:100000:65536\n");
  write("hostname", "guest\n");
  write("hosts", "127.0.0.1 localhost guest\n");
}

/** What the kernel starts: what must happen before the second disk is there, which says all else. */
function addFirstProgram(tree, shell) {
  mkdirSync(join(tree, "project"));
  for (const name of ["etc", "dev", "proc", "sys", "tmp", "run", "root"])
    mkdirSync(join(tree, name), { recursive: true });
  writeFileSync(
    join(tree, "usr/sbin/boot"),
    `#!${shell}
export PATH=/usr/sbin:/usr/bin
[ -x /usr/bin/mount ] || /bin/busybox --install -s /usr/bin
mount -t devtmpfs dev /dev
mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
# Labels mean something only from here on; what the project's disk has none for is as if it were installed.
if [ -d /sys/fs/selinux ]; then load_policy -i; label=,defcontext=system_u:object_r:usr_t:s0; fi
mount -t ext4 -o "nodev$label" /dev/nvme1n1 /project
exec /project/test/vm/guest/boot
`,
    { mode: 0o755 },
  );
}

/** What runs on this machine can be used while the tree is made. */
function completeTree(tree, kernel) {
  addModules(tree, kernel);
  addNode(tree);
  asRoot("chroot", [tree, "/sbin/ldconfig"]);
  asRoot("chroot", [tree, "/sbin/depmod", kernel.release]);
}

/** A guest of busybox alone loads the one module that sandboxes use by its path. */
function addOverlayModule(tree, kernel) {
  mkdirSync(join(tree, "lib/modules"), { recursive: true });
  copyFileSync(join(kernel.modules, "kernel/fs/overlayfs/overlay.ko"), join(tree, "lib/modules/overlay.ko"));
}

function addModules(tree, kernel) {
  const to = join(tree, "usr/lib/modules", kernel.release);
  const wanted = (path) => {
    const inside = path.slice(kernel.modules.length + 1);
    if (!inside.startsWith("kernel/drivers/") || !inside.endsWith(".ko")) return true;
    return DRIVERS.some((driver) => inside === `kernel/drivers/${driver}`);
  };
  cpSync(kernel.modules, to, { recursive: true, filter: wanted });
  for (const link of ["build", "source"]) rmSync(join(to, link), { force: true });
}

/** Node as it runs here, and the dependencies of the lock file that are installed. */
function addNode(tree) {
  copyFileSync(realpathSync(process.execPath), join(tree, "usr/bin/node"));
  chmodSync(join(tree, "usr/bin/node"), 0o755);
  const { packages } = JSON.parse(readFileSync(join(PROJECT, "package-lock.json"), "utf8"));
  for (const path of Object.keys(packages)) {
    if (path === "" || LEFT_OUT.test(path) || !existsSync(join(PROJECT, path))) continue;
    cpSync(join(PROJECT, path), join(tree, "opt", path), {
      recursive: true,
      filter: (source) => !/\.(?:d\.[cm]?ts|map)$/.test(source),
    });
  }
}

function forgetOld(cache, current) {
  for (const name of readdirSync(cache)) {
    const path = join(cache, name);
    if (path !== current && /^(root|arriving)-/.test(name) && Date.now() - statSync(path).mtimeMs > WEEK)
      rmSync(path, { recursive: true, force: true });
  }
}

/** Parts of the project that a guest sees below /project. */
const SHOWN = [
  "package.json",
  "package-lock.json",
  "tsconfig.json",
  "dist",
  "profiles",
  "policies",
  "src",
  "test",
];

/**
 * The project's disk: `run/NAME` holds the arguments of vitest for the bench NAME, one a line.
 * @param {string} work - a directory of this run.
 * @param {Readonly<Record<string, readonly string[]>>} runs
 * @param {(directory: string) => Promise<void>} addMore - puts into `run` what else the benches take.
 */
export async function projectImage(work, runs, addMore) {
  const tree = join(work, "project");
  mkdirSync(join(tree, "run"), { recursive: true });
  for (const path of SHOWN)
    if (existsSync(join(PROJECT, path))) cpSync(join(PROJECT, path), join(tree, path), { recursive: true });
  symlinkSync("/opt/node_modules", join(tree, "node_modules"));
  compilePrograms(join(tree, "programs"));
  for (const [name, args] of Object.entries(runs)) writeFileSync(join(tree, "run", name), args.join("\n"));
  await addMore(join(tree, "run"));
  execFileSync("chmod", ["-R", "a+rX", tree]);
  const image = join(work, "project.ext4");
  makeImage(tree, image, 16);
  rmSync(tree, { recursive: true, force: true });
  return image;
}

/** The hostile programs, compiled here: a compiler in the guest would take minutes. */
function compilePrograms(to) {
  const from = join(PROJECT, "test/live/programs");
  mkdirSync(to);
  for (const source of readdirSync(from).filter((name) => name.endsWith(".c"))) {
    const name = basename(source, ".c");
    const flags = name === "probe" ? ["-nostdlib", "-ffreestanding", "-fno-stack-protector"] : ["-pthread"];
    execFileSync("gcc", ["-static", "-O1", ...flags, "-o", join(to, name), join(from, source)]);
  }
}
