/** What was read -> what it means to a prover, and the program that does it. */
import { generate } from "../compile/seccomp/codegen.ts";
import { type Bpf, decode, OP } from "../compile/seccomp/decode.ts";
import { RET } from "../compile/seccomp/ir.ts";
import { verify } from "../compile/seccomp/verify.ts";
import { bug, type Checked } from "../problems.ts";
import type { Meaning, Prover, Unknown } from "../prove/prover.ts";
import type { InputFilter } from "./read.ts";

/** The meaning of a filter; no filter is one that allows everything. */
export function meaningOf(prover: Prover, filter: InputFilter): Meaning | Unknown {
  switch (filter.kind) {
    case "none":
      return prover.filter(decoded(NOTHING));
    case "program":
      return prover.filter(filter.bpf);
    case "rules":
      return prover.rules(filter.policy);
  }
}

/** The program as a kernel would get it; of rules, the one our emitter makes of them, proved like every other. */
export function programOf(filter: InputFilter): Checked<Bpf> {
  switch (filter.kind) {
    case "none":
      return { ok: true, value: decoded(NOTHING) };
    case "program":
      return { ok: true, value: filter.bpf };
    case "rules": {
      const { policy, target } = filter;
      const bytes = generate(policy);
      if (bytes === undefined) {
        const where = target.locate?.("/seccomp") ?? { kind: "default" };
        const message = "the filter needs more than 4096 instructions";
        return { ok: false, problems: [{ kind: "seccomp-rule", where, pointer: "/seccomp", message }] };
      }
      const proof = verify(bytes, policy, target);
      return proof.ok ? { ok: true, value: decoded(bytes) } : proof;
    }
  }
}

/** ret allow */
const NOTHING = Uint8Array.of(
  OP.ret,
  0,
  0,
  0,
  RET.allow & 0xff,
  (RET.allow >>> 8) & 0xff,
  (RET.allow >>> 16) & 0xff,
  RET.allow >>> 24,
);

function decoded(bytes: Uint8Array): Bpf {
  const program = decode(bytes);
  return program.ok ? program.bpf : bug(`a filter of ours does not decode: ${program.reason}`);
}
