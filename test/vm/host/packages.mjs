/**
 * Debian packages without installing them: resolved by apt as for an empty machine, downloaded once into a cache,
 * unpacked into a directory. Takes the host's package lists as they are (`apt-get update` is the host's business) and
 * changes nothing outside the cache.
 */
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

const native = () => execFileSync("dpkg", ["--print-architecture"], { encoding: "utf8" }).trim();

/** Package lists of another architecture are fetched into the cache, and again when they are this old. */
const LISTS_AGE = 24 * 3600 * 1000;

/** apt for a machine that has nothing installed and nothing downloaded: a package's whole closure is named. */
function aptOptions(cache, architecture) {
  const own = join(cache, "apt", architecture);
  const [status, archives, lists] = ["status", "archives", "lists"].map((name) => join(own, name));
  for (const directory of [archives, lists]) mkdirSync(join(directory, "partial"), { recursive: true });
  if (!existsSync(status)) writeFileSync(status, "");
  const plain = [`Dir::State::status=${status}`, `Dir::Cache::archives=${archives}`, "Debug::NoLocking=1"];
  const foreign = [
    `APT::Architecture=${architecture}`,
    `APT::Architectures=${architecture}`,
    `Dir::State::lists=${lists}`,
    "Dir::Cache::pkgcache=",
    "Dir::Cache::srcpkgcache=",
    "APT::Sandbox::User=",
  ];
  if (architecture === native()) return plain.flatMap((option) => ["-o", option]);
  const options = [...plain, ...foreign].flatMap((option) => ["-o", option]);
  const stamp = join(own, "updated");
  if (!existsSync(stamp) || Date.now() - statSync(stamp).mtimeMs > LISTS_AGE) {
    execFileSync("apt-get", [...options, "-qq", "update"], { stdio: ["ignore", "ignore", "inherit"] });
    writeFileSync(stamp, "");
  }
  return options;
}

/** A package file as apt names it: `name_version_architecture.deb`, `:` of an epoch written as `%3a`. */
const DEB = /^'[^']+' (?<file>(?<name>[^_ ]+)_(?<version>[^_ ]+)_(?<architecture>[^_ ]+)\.deb) /;

/**
 * The packages and all that they depend on, sorted, as names of package files. No network.
 * @param {string} cache
 * @param {string} architecture - Debian's name.
 * @param {readonly string[]} names
 * @returns {readonly string[]}
 */
export function resolvePackages(cache, architecture, names) {
  const printed = execFileSync(
    "apt-get",
    [
      ...aptOptions(cache, architecture),
      "--print-uris",
      "-y",
      "-qq",
      "--no-install-recommends",
      "install",
      ...names,
    ],
    { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] },
  );
  const files = printed
    .split("\n")
    .map((line) => DEB.exec(line)?.groups?.file)
    .filter((file) => file !== undefined)
    .toSorted();
  if (files.length === 0) throw new Error(`apt-get knows nothing to install for ${names.join(" ")}`);
  return files;
}

/**
 * Downloads what the cache lacks; apt checks hashes and signatures. Gives the directory that holds the files.
 * @param {string} cache
 * @param {string} architecture
 * @param {readonly string[]} files - from resolvePackages.
 */
export function downloadPackages(cache, architecture, files) {
  const store = join(cache, "debs");
  mkdirSync(store, { recursive: true });
  const missing = files.filter((file) => !existsSync(join(store, file)));
  if (missing.length === 0) return store;
  const wanted = missing.map((file) => {
    const [name, version] = file.split("_");
    return `${name}=${decodeURIComponent(version)}`;
  });
  // apt writes where it stands; a file counts only when it is complete, so it is moved into place.
  const arriving = mkdtempSync(join(cache, "arriving-"));
  try {
    execFileSync(
      "apt-get",
      [...aptOptions(cache, architecture), "-qq", "-o", "APT::Sandbox::User=", "download", ...wanted],
      {
        cwd: arriving,
        stdio: ["ignore", "ignore", "inherit"],
      },
    );
    for (const file of readdirSync(arriving)) renameSync(join(arriving, file), join(store, file));
  } finally {
    rmSync(arriving, { recursive: true, force: true });
  }
  const absent = files.filter((file) => !existsSync(join(store, file)));
  if (absent.length > 0) throw new Error(`apt-get did not download ${absent.join(", ")}`);
  return store;
}

/** Not needed to run anything; a third of the bytes. */
const DOCUMENTS = ["doc", "man", "locale", "i18n", "info", "lintian"].map((name) => `./usr/share/${name}`);

/**
 * Unpacks package files into a tree whose /bin, /sbin and /lib may be links into /usr.
 * @param {string} store
 * @param {readonly string[]} files
 * @param {string} tree
 */
export function unpackPackages(store, files, tree) {
  const exclude = DOCUMENTS.map((path) => `--exclude=${path}`);
  for (const file of files) {
    const tar = execFileSync("dpkg-deb", ["--fsys-tarfile", join(store, file)], { maxBuffer: 2 ** 30 });
    execFileSync("tar", ["-x", "-C", tree, "--keep-directory-symlink", ...exclude], { input: tar });
  }
}
