/**
 * Rules about how an image was built: the lines of its history, and with a Dockerfile every instruction of every stage. They judge the
 * commands that a shell would start, not words in a line.
 */

import { type Command, commandsOf, operandsOf, programOf } from "../dockerfile/commands.ts";
import type { Violation } from "../gate/rule.ts";
import { secretIn } from "../image/facts/secrets.ts";
import type { BuildStep, CheckedImage } from "./checked-image.ts";
import { forbidsSteps, type ImageRule, isAllowed, nameOfStep, violation } from "./image-rule.ts";
import { cis, dockerfile, dockle } from "./references.ts";

/** What an ONBUILD step has later builds do is as good as done: `ONBUILD RUN ...`. */
function deferred(step: BuildStep): BuildStep {
  const [, keyword = "", text = ""] =
    step.keyword === "ONBUILD" ? (/^([a-z]+)\s+([^]*)$/i.exec(step.text) ?? []) : [];
  const later = keyword.toUpperCase();
  if (later === "RUN") return { ...step, keyword: "RUN", text, script: text };
  return later === "ADD" ? { ...step, keyword: "ADD", text } : step;
}

const commands = (step: BuildStep): readonly Command[] => {
  const { keyword, script } = deferred(step);
  return keyword === "RUN" ? commandsOf(script) : [];
};

/** Programs that install packages, and the words by which they renew their index and use it. */
const MANAGERS: Readonly<
  Record<string, { readonly update: readonly string[]; readonly use: readonly string[] }>
> = {
  "apt-get": {
    update: ["update"],
    use: ["install", "upgrade", "dist-upgrade", "full-upgrade", "build-dep", "source", "download"],
  },
  apt: {
    update: ["update"],
    use: ["install", "upgrade", "dist-upgrade", "full-upgrade", "build-dep", "source", "download"],
  },
  aptitude: { update: ["update"], use: ["install", "safe-upgrade", "full-upgrade"] },
  apk: { update: ["update"], use: ["add", "upgrade", "fetch"] },
  dnf: { update: ["makecache"], use: ["install", "upgrade", "update", "groupinstall", "download"] },
  microdnf: { update: ["makecache"], use: ["install", "upgrade", "update"] },
  yum: { update: ["makecache"], use: ["install", "upgrade", "update", "groupinstall"] },
  zypper: {
    update: ["refresh", "ref"],
    use: ["install", "in", "update", "up", "patch", "dist-upgrade", "dup"],
  },
  opkg: { update: ["update"], use: ["install", "upgrade"] },
};
/** That share one index. */
const FAMILY: Readonly<Record<string, string>> = {
  "apt-get": "apt",
  aptitude: "apt",
  microdnf: "dnf",
  yum: "dnf",
};

function loneUpdate(step: BuildStep): string | null {
  const updated = new Set<string>();
  const used = new Set<string>();
  for (const command of commands(step)) {
    const program = programOf(command);
    const words = Object.hasOwn(MANAGERS, program) ? MANAGERS[program] : undefined;
    if (words === undefined) continue;
    const operands = operandsOf(command);
    const family = FAMILY[program] ?? program;
    if (words.update.some((word) => operands.includes(word))) updated.add(family);
    if (words.use.some((word) => operands.includes(word))) used.add(family);
  }
  const lone = [...updated].find((family) => !used.has(family));
  return lone === undefined ? null : `the index of ${lone} is renewed in a step that installs nothing`;
}

const UPGRADES = new Set([
  "dist-upgrade",
  "full-upgrade",
  "system-upgrade",
  "distro-sync",
  "dup",
  "distribution-synchronization",
]);

function distributionUpgrade(step: BuildStep): string | null {
  for (const command of commands(step)) {
    const program = programOf(command);
    if (program === "do-release-upgrade") return "the distribution is upgraded to another release";
    if (Object.hasOwn(MANAGERS, program) && operandsOf(command).some((word) => UPGRADES.has(word)))
      return `${program} upgrades the distribution, which installs and removes what it likes`;
  }
  return null;
}

/** Options by which package managers take what nobody signed, and the programs whose they are. */
const UNVERIFIED: readonly (readonly [programs: RegExp, option: RegExp])[] = [
  [/^apt(?:-get|itude)?$/, /^--(?:allow-unauthenticated|force-yes|allow-insecure-repositories)$/],
  [
    /^apt(?:-get|itude)?$/,
    /^(?:-o)?(?:APT::Get::AllowUnauthenticated|Acquire::AllowInsecureRepositories|APT::Get::force-yes)=(?:1|true|yes)$/i,
  ],
  [/^apk$/, /^--allow-untrusted$/],
  [
    /^(?:yum|dnf|microdnf|zypper)$/,
    /^--(?:nogpgcheck|no-gpg-checks?|setopt=(?:[^=]*\.)?(?:gpgcheck|sslverify)=(?:0|false|no))$/,
  ],
  [/^rpm$/, /^--(?:nosignature|nodigest)$/],
  [/^pip[0-9.]*$/, /^--trusted-host(?:=|$)/],
  [/^(?:curl)$/, /^(?:--insecure|-[a-zA-Z]{0,20}k[a-zA-Z]{0,20})$/],
  [/^wget$/, /^--no-check-certificate$/],
  [/^npm$/, /^--(?:strict-ssl=false|no-strict-ssl)$/],
];
const INTERPRETS = /^(?:sh|ash|bash|dash|zsh|python[0-9.]*|perl|ruby|node|php)$/;
/** `sh -c "$(curl ...)"`, `bash <(wget ...)`, `eval "$(...)"`. */
const FETCHED_TO_RUN =
  /(?:^|[\s;&|(])(?:eval|source|\.|(?:\/[^\s;&|]{0,100}\/)?(?:sh|ash|bash|dash|zsh|python[0-9.]{0,6}|perl|ruby|node|php))\s[^;&|\n]{0,200}?(?:\$\(|`|<\()\s{0,20}(?:sudo\s{1,20})?(?:\/[^\s;&|]{0,100}\/)?(curl|wget|fetch|aria2c)\s/;
const FETCHES = /^(?:curl|wget|fetch|aria2c)$/;

function unverifiedInstall(step: BuildStep): string | null {
  const all = commands(step);
  for (const [index, command] of all.entries()) {
    const program = programOf(command);
    for (const [programs, option] of UNVERIFIED)
      if (programs.test(program)) {
        const given = command.words.find((word) => option.test(word));
        if (given !== undefined) return `${program} takes what is not verified (${given})`;
      }
    // `curl ... | gunzip | sh`: the next command that is no longer piped ends the pipeline.
    if (!FETCHES.test(program)) continue;
    for (let next = index; all[next]?.piped === true; next++) {
      const reader = all[next + 1];
      // What follows another fetch is judged from there.
      if (reader === undefined || FETCHES.test(programOf(reader))) break;
      if (INTERPRETS.test(programOf(reader)))
        return `what ${program} fetches is run by ${programOf(reader)} unseen`;
    }
  }
  const { script } = deferred(step);
  const fetcher = FETCHED_TO_RUN.exec(script)?.[1];
  if (fetcher !== undefined) return `what ${fetcher} fetches is run by a shell unseen`;
  return /\[[^\][]{0,200}\btrusted=yes\b|^trusted:[ \t]*yes\b/im.test(script)
    ? "a package source is trusted without a signature"
    : null;
}

/** A base image's root file system is added whole, as the first line, from a file of its author: `ADD file:0123 in /`, `ADD rootfs.tar.xz /`. */
const isRootFileSystem = (step: BuildStep, index: number): boolean =>
  index === 0 && /^(?:\S+ in )?\S* ?\/$/.test(step.text) && !/:\/\/|^git@/.test(step.text);

/** Of instructions that left no history, such as those of other stages: whoever can read the repository, or the builder's cache, has it. */
export function secretsOfBuild(image: CheckedImage, allow: readonly string[]): readonly Violation[] {
  const { steps, dockerfile: from } = image.build;
  return steps.slice(image.config?.history.length ?? 0).flatMap((step) => {
    const kind = secretIn(`${step.keyword ?? ""} ${step.text}`);
    const object = `${kind} in ${from} ${nameOfStep(step)}`;
    if (kind === null || isAllowed(allow, object)) return [];
    return [violation(image, object, `there is a secret: ${object}`, { step })];
  });
}

export const BUILD_RULES: readonly ImageRule[] = [
  forbidsSteps(
    {
      id: "no-lone-update",
      title: "A package index is renewed only together with an installation",
      rationale:
        "A builder caches the step that renews the index: later builds install from an index of long ago, without the fixes since.",
      remediation:
        "Put both into one RUN: apt-get update && apt-get install -y --no-install-recommends NAME.",
      references: [cis("4.7"), dockle("CIS-DI-0007")],
    },
    loneUpdate,
  ),
  forbidsSteps(
    {
      id: "no-distribution-upgrade",
      title: "No step upgrades the whole distribution",
      rationale:
        "The image is then no longer what its base says: each build gives another one, and packages that nobody asked for come and go.",
      remediation: "Build on a newer base image; upgrade single packages where a fix must not wait.",
      references: [dockle("DKL-DI-0003")],
    },
    distributionUpgrade,
  ),
  forbidsSteps(
    {
      id: "no-sudo-in-build",
      title: "No step uses sudo",
      rationale:
        "A build runs as the user that USER says. sudo in it means that sudo is installed, and configured to let that user be root.",
      remediation: "Change to the user that a step needs with USER, and back after it; leave sudo out.",
      references: [dockle("DKL-DI-0001")],
    },
    (step) =>
      commands(step).some(({ words }) => /(?:^|\/)(?:sudo|doas)$/.test(words[0] ?? ""))
        ? "a step uses sudo"
        : null,
  ),
  forbidsSteps(
    {
      id: "copy-not-add",
      title: "Files are brought in with COPY, not with ADD",
      rationale:
        "ADD fetches from the network and unpacks archives by itself: what comes in is not what lies in the repository, and nobody checks it.",
      remediation: "Use COPY; for archives COPY and RUN tar, for downloads RUN with a checksum.",
      references: [cis("4.9"), dockle("CIS-DI-0009"), dockerfile("ADD", "add")],
    },
    (step, index) =>
      deferred(step).keyword === "ADD" && !isRootFileSystem(step, index) && step.origin !== "base"
        ? "a step uses ADD"
        : null,
  ),
  forbidsSteps(
    {
      id: "verified-installs",
      title: "Nothing is installed without being verified",
      rationale:
        "Switched-off signatures, certificates that are not looked at and scripts piped into a shell make whoever sits on the network the author of the image.",
      remediation:
        "Leave the option out; add the key of the repository; fetch to a file and compare its checksum before it is run.",
      references: [cis("4.11")],
    },
    unverifiedInstall,
  ),
];
