/**
 * Debian's SELinux policy in a root tree, and the labels of its files in an image: what the package's installation script and
 * setfiles(8) do on a running machine, done here without one. Needs no privilege: labels are computed by the tree's own
 * tools and written into the image as extended attributes, which only root could set on files.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Where Debian keeps the modules of its policy. */
const SHIPPED = "/usr/share/selinux/default";

/**
 * Compiles all of Debian's modules and ours into the policy that the guest loads. Permissive until the guest's own init has
 * become what a person who logs in is; guest/boot then enforces.
 * @param {string} tree
 * @param {Readonly<Record<string, string>>} modules - CIL modules by file name.
 * @param {(command: string, args: readonly string[]) => string} asRoot
 */
export function installPolicy(tree, modules, asRoot) {
  writeFileSync(join(tree, "etc/selinux/config"), "SELINUX=permissive\nSELINUXTYPE=default\n");
  for (const path of ["var/lib/selinux", "root/modules"]) mkdirSync(join(tree, path), { recursive: true });
  const shipped = readFileSync(join(tree, SHIPPED, ".modules"), "utf8")
    .trim()
    .split("\n");
  install(
    tree,
    "100",
    shipped.map((name) => `${SHIPPED}/${name}.pp.bz2`),
    asRoot,
  );
  for (const [name, text] of Object.entries(modules)) writeFileSync(join(tree, "root/modules", name), text);
  install(
    tree,
    "400",
    Object.keys(modules).map((name) => `/root/modules/${name}`),
    asRoot,
  );
}

function install(tree, priority, files, asRoot) {
  const wanted = files.flatMap((file) => ["--install", file]);
  asRoot("chroot", [
    tree,
    "/sbin/semodule",
    "--noreload",
    "--store",
    "default",
    "--priority",
    priority,
    ...wanted,
  ]);
}

/**
 * Gives every file of the image the label that the policy has for its path.
 * @param {string} tree - what the image was made from.
 * @param {string} image
 * @param {string} work - a directory for lists.
 * @param {(command: string, args: readonly string[]) => string} asRoot
 */
export function labelImage(tree, image, work, asRoot) {
  const paths = readdirSync(tree, { recursive: true, withFileTypes: true })
    .map((entry) => `/${join(entry.parentPath, entry.name).slice(tree.length + 1)}`)
    // debugfs(8) has no way to quote these.
    .filter((path) => !/["\n]/.test(path));
  writeFileSync(join(tree, "root/paths"), ["/", ...paths].join("\n"));
  const labelled = asRoot("chroot", [
    tree,
    "/bin/sh",
    "-c",
    "xargs -d '\\n' -a /root/paths /usr/sbin/matchpathcon",
  ]);
  const commands = labelled
    .split("\n")
    .map((line) => line.split("\t"))
    .filter(([, label]) => label !== undefined && label !== "<<none>>")
    .map(([path, label]) => `ea_set "${path}" security.selinux ${label}`);
  if (commands.length < paths.length / 2)
    throw new Error("the policy has labels for less than half of the files");
  const list = join(work, "labels");
  writeFileSync(list, `${commands.join("\n")}\n`);
  asRoot("debugfs", ["-w", "-f", list, image]);
}
