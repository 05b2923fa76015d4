/**
 * libseccomp through koffi: policy -> BPF. Only for the native ABI of this machine; what the library cannot say (ranges of numbers,
 * several verdicts on one call, two conditions on one argument) comes from our own prologue before its program. Never loads a
 * filter into the kernel, and is never trusted: the verifier reads what it emits.
 */
import { closeSync, fstatSync, readSync } from "node:fs";
import koffi from "koffi";
import { NEWEST_OF } from "../compile/seccomp/abi.ts";
import { prepend } from "../compile/seccomp/codegen.ts";
import type { Backend } from "../compile/seccomp/compile.ts";
import { ALL_ONES, type Condition, type FilterPolicy, type Rule } from "../compile/seccomp/ir.ts";

// enum scmp_filter_attr and enum scmp_compare of seccomp.h.
const ATTRIBUTE = { actBadArch: 2, ctlOptimize: 8 } as const;
const BINARY_TREE = 2;
const COMPARE = { ne: 1, lt: 2, le: 3, eq: 4, ge: 5, gt: 6, maskedEq: 7 } as const;
/** struct scmp_arg_cmp { unsigned int arg; enum scmp_compare op; uint64_t datum_a, datum_b; } */
const ARG_CMP_BYTES = 24;
/** seccomp_api_set(3): from this level on kill-process and log exist, whatever the running kernel says. */
const API_LEVEL = 3;
const MFD_CLOEXEC = 1;
/** A filter has at most 4096 instructions of 8 bytes. */
const MAX_FILTER_BYTES = 4096 * 8;

type Context = unknown;

interface Library {
  readonly version: string;
  init(action: number): Context;
  release(context: Context): void;
  setAttribute(context: Context, attribute: number, value: number): number;
  addRule(context: Context, action: number, syscall: number, count: number, args: Uint8Array | null): number;
  exportBpf(context: Context, fd: number): number;
  memfd(name: string, flags: number): number;
}

let library: Library | null | undefined;

function load(): Library | null {
  if (library !== undefined) return library;
  library = bind();
  return library;
}

function bind(): Library | null {
  let lib: ReturnType<typeof koffi.load>;
  try {
    lib = koffi.load("libseccomp.so.2");
  } catch {
    // Not installed: the caller falls back to our own emitter and says so.
    return null;
  }
  // The context is opaque, lives from init to release, and is only ever handed back: void *.
  const version = lib.func("const uint32_t *seccomp_version(void)")() as unknown;
  const [major, minor, micro] = koffi.decode(version, koffi.array("uint32_t", 3)) as Uint32Array;
  (lib.func("int seccomp_api_set(uint32_t level)") as (level: number) => number)(API_LEVEL);
  const libc = koffi.load(null);
  return {
    version: `${major}.${minor}.${micro}`,
    init: lib.func("void *seccomp_init(uint32_t def_action)"),
    release: lib.func("void seccomp_release(void *ctx)"),
    setAttribute: lib.func("int seccomp_attr_set(void *ctx, int attr, uint32_t value)"),
    // "exact": the rule for this number on this ABI or an error, never a rewrite. The array is read during the call only.
    addRule: lib.func(
      "int seccomp_rule_add_exact_array(void *ctx, uint32_t action, int syscall, uint32_t count, const uint8_t *args)",
    ),
    exportBpf: lib.func("int seccomp_export_bpf(void *ctx, int fd)"),
    memfd: libc.func("int memfd_create(const char *name, uint32_t flags)"),
  };
}

/** Version such as "2.5.4", or null when it cannot be loaded. Loads koffi and the library. */
export function libseccompVersion(): string | null {
  return load()?.version ?? null;
}

/** The backend, or null when the library is not installed. */
export function libseccompBackend(): Backend | null {
  const lib = load();
  if (lib === null) return null;
  return { name: `libseccomp ${lib.version}`, emit: (policy) => emit(lib, policy) };
}

const NODE_ARCH: Readonly<Record<string, string>> = { x64: "x86_64", arm64: "aarch64" };

function emit(lib: Library, policy: FilterPolicy): Uint8Array | { readonly reason: string } {
  const [native, ...others] = policy.abis;
  if (native === undefined) return { reason: "the policy has no ABI" };
  if (others.length > 0) return { reason: "more than the native ABI is asked for" };
  // Rules go in by number, and the library takes numbers for those of the machine it runs on.
  if (NODE_ARCH[process.arch] !== native.abi) return { reason: `this machine is not ${native.abi}` };

  const own = new Set<number>();
  const context = lib.init(policy.fallback);
  if (context === null) return { reason: "seccomp_init failed" };
  try {
    const set = (attribute: number, value: number) => lib.setAttribute(context, attribute, value);
    if (set(ATTRIBUTE.actBadArch, policy.foreign) !== 0 || set(ATTRIBUTE.ctlOptimize, BINARY_TREE) !== 0)
      return { reason: "seccomp_attr_set refused the default for other architectures or the binary tree" };
    for (const [nr, rules] of native.calls) {
      if (!sayable(rules, policy) || nr > NEWEST_OF[native.abi]) {
        own.add(nr);
        continue;
      }
      for (const { conditions, verdict } of rules) {
        const args = conditions.length === 0 ? null : pack(conditions);
        const error = lib.addRule(context, verdict, nr, conditions.length, args);
        if (error !== 0) return { reason: `seccomp_rule_add for call ${nr} failed with ${error}` };
      }
    }
    const body = exported(lib, context);
    if (!(body instanceof Uint8Array)) return body;
    return prepend(policy, own, body) ?? { reason: "the filter needs more than 4096 instructions" };
  } finally {
    lib.release(context);
  }
}

/** One verdict, not the default's, and at most one condition per argument in each rule: what libseccomp keeps as written. */
function sayable(rules: readonly Rule[], policy: FilterPolicy): boolean {
  return rules.every(
    ({ verdict, conditions }) =>
      verdict === rules[0]?.verdict &&
      verdict !== policy.fallback &&
      new Set(conditions.map((condition) => condition.index)).size === conditions.length,
  );
}

function pack(conditions: readonly Condition[]): Uint8Array {
  const bytes = new Uint8Array(ARG_CMP_BYTES * conditions.length);
  const view = new DataView(bytes.buffer);
  for (const [i, { index, operator, mask, value }] of conditions.entries()) {
    const at = ARG_CMP_BYTES * i;
    const masked = mask !== ALL_ONES;
    view.setUint32(at, index, true);
    view.setUint32(at + 4, masked ? COMPARE.maskedEq : COMPARE[operator], true);
    view.setBigUint64(at + 8, masked ? mask : value, true);
    view.setBigUint64(at + 16, masked ? value : 0n, true);
  }
  return bytes;
}

/** The library writes to a descriptor only; a memory file holds any size, where a pipe could fill up and block. */
function exported(lib: Library, context: Context): Uint8Array | { readonly reason: string } {
  const fd = lib.memfd("seccomp-filter", MFD_CLOEXEC);
  if (fd < 0) return { reason: "memfd_create failed" };
  try {
    const error = lib.exportBpf(context, fd);
    if (error !== 0) return { reason: `seccomp_export_bpf failed with ${error}` };
    const { size } = fstatSync(fd);
    if (size === 0 || size > MAX_FILTER_BYTES) return { reason: `the library's filter has ${size} bytes` };
    const bytes = new Uint8Array(size);
    const got = readSync(fd, bytes, 0, size, 0);
    return got === size ? bytes : { reason: `read ${got} of ${size} bytes of the library's filter` };
  } finally {
    closeSync(fd);
  }
}
