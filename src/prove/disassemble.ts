/**
 * A filter as text: every instruction with what it does to the call, names for numbers where the program has asked for the architecture, labels where
 * jumps lead. Takes a decoded program; says nothing about what it means, only what it does.
 */
import { ABIS, type Abi, AUDIT_ARCH, SCMP_ARCH } from "../compile/seccomp/abi.ts";
import { type Bpf, isJump, OP, X } from "../compile/seccomp/decode.ts";
import { type Call, formatVerdict, WORD } from "../compile/seccomp/ir.ts";
import { nameOf } from "./call-bits.ts";

export interface Line {
  readonly pc: number;
  /** `L3`, when a jump that is not to the next instruction leads here. */
  readonly label: string | null;
  /** `if A == 0x101 goto L7 else L3` */
  readonly text: string;
  /** `openat`; the value of a load where the call is known. */
  readonly comment: string;
}

/** What an instruction knows before it runs, on every way to it. */
interface Known {
  /** The word of the call in the accumulator, masked or not; null: something else. */
  readonly word: number | null;
  /** The value of the word `arch`; null: not asked for yet, or several. */
  readonly arch: number | null;
}

const hex = (value: number) => `0x${value.toString(16)}`;

/** The words of struct seccomp_data as people call them. */
export function wordName(word: number): string {
  if (word === WORD.nr) return "nr";
  if (word === WORD.arch) return "arch";
  const half = word % 2 === 0 ? "low" : "high";
  return word < WORD.args ? `ip.${half}` : `arg${(word - WORD.args) >> 1}.${half}`;
}

/** The whole program, line by line. With a call, loads show what they load. */
export function disassemble(bpf: Bpf, call: Call | null = null): readonly Line[] {
  const labels = labelsOf(bpf);
  const known = knowledge(bpf);
  return Array.from({ length: bpf.length }, (_, pc) => {
    const label = labels.get(pc) ?? null;
    const { text, comment } = describe(bpf, pc, known[pc] ?? null, labels, call);
    return { pc, label, text, comment };
  });
}

/** Lines as columns. */
export function formatLines(lines: readonly Line[]): string {
  const width = Math.max(...lines.map(({ text }) => text.length));
  return lines
    .map(({ pc, label, text, comment }) => {
      const place = `${String(pc).padStart(4)}  ${(label === null ? "" : `${label}:`).padEnd(6)}`;
      return comment === "" ? `${place}${text}` : `${place}${text.padEnd(width)}  ; ${comment}`;
    })
    .join("\n");
}

function targets(bpf: Bpf, pc: number): readonly number[] {
  const code = bpf.code[pc] as number;
  if (code === OP.ret || code === OP.retA) return [];
  if (code === OP.ja) return [pc + 1 + (bpf.k[pc] as number)];
  if (!isJump(code)) return [pc + 1];
  return [pc + 1 + (bpf.jt[pc] as number), pc + 1 + (bpf.jf[pc] as number)];
}

function labelsOf(bpf: Bpf): ReadonlyMap<number, string> {
  const places = new Set<number>();
  for (let pc = 0; pc < bpf.length; pc++)
    for (const to of targets(bpf, pc)) if (to !== pc + 1) places.add(to);
  return new Map([...places].toSorted((a, b) => a - b).map((pc, i) => [pc, `L${i + 1}`]));
}

/** Forward over all ways; what two ways disagree about is not known. */
function knowledge(bpf: Bpf): readonly (Known | undefined)[] {
  const known: (Known | undefined)[] = Array.from({ length: bpf.length });
  const arrive = (pc: number, now: Known) => {
    const before = known[pc];
    known[pc] =
      before === undefined
        ? now
        : {
            word: before.word === now.word ? now.word : null,
            arch: before.arch === now.arch ? now.arch : null,
          };
  };
  arrive(0, { word: null, arch: null });
  for (let pc = 0; pc < bpf.length; pc++) {
    const now = known[pc];
    if (now === undefined) continue;
    const code = bpf.code[pc] as number;
    const k = bpf.k[pc] as number;
    const word = code === OP.ld ? k >>> 2 : isJump(code) || code === OP.ja ? now.word : null;
    for (const [i, to] of targets(bpf, pc).entries()) {
      const asked = code === OP.jeq && now.word === WORD.arch && i === 0;
      arrive(to, { word, arch: asked ? k : now.arch });
    }
  }
  return known;
}

const COMPARISONS = new Map<number, string>([
  [OP.jeq, "=="],
  [OP.jgt, ">"],
  [OP.jge, ">="],
  [OP.jset, "&"],
]);
const ARITHMETIC = new Map<number, string>([
  [OP.add, "+"],
  [OP.sub, "-"],
  [OP.mul, "*"],
  [OP.div, "/"],
  [OP.or, "|"],
  [OP.and, "&"],
  [OP.lsh, "<<"],
  [OP.rsh, ">>"],
  [OP.xor, "^"],
]);

function describe(
  bpf: Bpf,
  pc: number,
  known: Known | null,
  labels: ReadonlyMap<number, string>,
  call: Call | null,
): { readonly text: string; readonly comment: string } {
  const code = bpf.code[pc] as number;
  const k = bpf.k[pc] as number;
  const line = (text: string, comment = "") => ({ text, comment });
  const to = (target: number) => labels.get(target) ?? "next";
  switch (code) {
    case OP.ld:
      return line(`A = ${wordName(k >>> 2)}`, call === null ? "" : hex(call[k >>> 2] as number));
    case OP.ldImm:
      return line(`A = ${hex(k)}`);
    case OP.ldLen:
      return line("A = 64");
    case OP.ldMem:
      return line(`A = M[${k}]`);
    case OP.ldxImm:
      return line(`X = ${hex(k)}`);
    case OP.ldxLen:
      return line("X = 64");
    case OP.ldxMem:
      return line(`X = M[${k}]`);
    case OP.st:
      return line(`M[${k}] = A`);
    case OP.stx:
      return line(`M[${k}] = X`);
    case OP.tax:
      return line("X = A");
    case OP.txa:
      return line("A = X");
    case OP.neg:
      return line("A = -A");
    case OP.ret:
      return line(`return ${formatVerdict(k)}`);
    case OP.retA:
      return line("return A");
    case OP.ja:
      return line(`goto ${to(pc + 1 + k)}`);
  }
  const operand = code & X ? "X" : hex(k);
  const comparison = COMPARISONS.get(code & ~X);
  if (comparison === undefined) return line(`A = A ${ARITHMETIC.get(code & ~X)} ${operand}`);
  const [yes = 0, no = 0] = targets(bpf, pc);
  const otherwise = no === pc + 1 ? "" : ` else ${to(no)}`;
  const text =
    yes === pc + 1
      ? `if not A ${comparison} ${operand} goto ${to(no)}`
      : `if A ${comparison} ${operand} goto ${to(yes)}${otherwise}`;
  return line(text, code & X ? "" : meaningOf(known, k));
}

/** What a constant stands for, where it is compared with the architecture or a number. */
function meaningOf(known: Known | null, k: number): string {
  if (known?.word === WORD.arch) {
    const abis = ABIS.filter((abi: Abi) => AUDIT_ARCH[abi] === k);
    return abis.map((abi) => SCMP_ARCH[abi]).join(", ");
  }
  if (known?.word === WORD.nr && known.arch !== null) return nameOf(known.arch, k) ?? "";
  return "";
}
