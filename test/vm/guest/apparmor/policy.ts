/** AppArmor policy of the tests, what is loaded of ours, and the library. */
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import type { Override } from "../../../../src/index.ts";

type Library = typeof import("../../../../src/index.ts");
/** As it was built, and past vitest: to transform the sources takes an emulator minutes. */
export const library = createRequire(import.meta.url)("../../../../dist/index.js") as Library;

export function overrides(values: Readonly<Record<string, unknown>>): readonly Override[] {
  return Object.entries(values).map(([pointer, value]) => ({
    pointer,
    value,
    source: { kind: "option", option: "test" },
  }));
}

/** A profile that is loaded for the tests: everything but the host's name. */
export const NAMED = "bench-tool";
export const NAMED_TEXT = `profile ${NAMED} flags=(attach_disconnected, mediate_deleted) {
  file, network, unix, signal,
  deny /etc/hostname r,
}`;

/** Everything a sandbox needs of the profile around it, and `more`. */
export const outer = (name: string, more: string): string =>
  `profile ${name} flags=(attach_disconnected, mediate_deleted) {
    file, network, unix, capability, signal, ptrace, mount, umount, pivot_root,
    ${more}
  }`;

export function load(text: string): void {
  execFileSync("apparmor_parser", ["--replace"], { input: text });
}
export function unload(text: string): void {
  execFileSync("apparmor_parser", ["--remove"], { input: text });
}

/** Names of profiles that sandboxes loaded. */
export function loaded(): readonly string[] {
  return readdirSync("/sys/kernel/security/apparmor/policy/profiles")
    .map((name) => name.replace(/\.\d+$/, ""))
    .filter((name) => name.startsWith("sandbox-"));
}
