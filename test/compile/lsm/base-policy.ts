/**
 * SELinux's own compiler as the judge of a module: Debian's base policy and as few of its modules as resolve, in CIL, linked with ours.
 * Takes CIL texts; gives what secilc says. It checks every neverallow rule, so that a text of those is a proof about all rules at once.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const COMPILER = "/usr/bin/secilc";
const CONVERTER = "/usr/libexec/selinux/hll/pp";
const MODULES = "/usr/share/selinux/default";
const NAMES = ["base", "unconfined", "xserver", "xdg", "getty"];
/** The newest format that Debian 12's kernel reads. */
const FORMAT = "33";

/** What is missing, or null. */
export function missingTools(): string | null {
  const missing = [COMPILER, CONVERTER, "/usr/bin/bunzip2", `${MODULES}/base.pp.bz2`].filter(
    (path) => !existsSync(path),
  );
  return missing.length === 0
    ? null
    : `${missing.join(", ")}: apt-get install secilc policycoreutils bzip2 selinux-policy-default`;
}

export class BasePolicy {
  readonly #directory = mkdtempSync(join(tmpdir(), "sandbox-cil-"));
  readonly #files: readonly string[];

  constructor() {
    this.#files = NAMES.map((name) => {
      const packaged = execFileSync("bunzip2", ["-c", `${MODULES}/${name}.pp.bz2`], { maxBuffer: 1 << 26 });
      const file = join(this.#directory, `${name}.cil`);
      writeFileSync(file, execFileSync(CONVERTER, [], { input: packaged, maxBuffer: 1 << 28 }));
      return file;
    });
  }

  /** Links modules with the base. Empty text: all names resolve and no neverallow rule is violated. */
  judge(...modules: readonly string[]): string {
    const files = modules.map((text, index) => {
      const file = join(this.#directory, `module-${index}.cil`);
      writeFileSync(file, text);
      return file;
    });
    const policy = join(this.#directory, "policy");
    const { status, stdout, stderr } = spawnSync(
      COMPILER,
      ["-o", policy, "-f", "/dev/null", "-c", FORMAT, ...this.#files, ...files],
      { encoding: "utf8" },
    );
    const said = `${stdout}${stderr}`.trim();
    return status === 0 ? "" : said || `secilc ended with ${status}`;
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true });
  }
}
