/** Names and numbers of system calls. Unpacked on first use of an ABI: a run with a cached filter never gets here. */
import { ABIS, type Abi } from "./abi.ts";
import { TABLES } from "./tables.generated.ts";

export interface SyscallTable {
  readonly numbers: ReadonlyMap<string, number>;
  readonly names: ReadonlyMap<number, string>;
}

const unpacked = new Map<Abi, SyscallTable>();

/** The calls of one ABI; x32 numbers carry bit 30. */
export function syscallTable(abi: Abi): SyscallTable {
  const known = unpacked.get(abi);
  if (known !== undefined) return known;
  const numbers = new Map<string, number>();
  const names = new Map<number, string>();
  let next = 0;
  for (const word of TABLES[abi].split(" ")) {
    const first = word.charCodeAt(0);
    if (first >= 0x30 && first <= 0x39) {
      next = Number(word);
      continue;
    }
    numbers.set(word, next);
    names.set(next, word);
    next += 1;
  }
  const table = { numbers, names };
  unpacked.set(abi, table);
  return table;
}

/** Whether any ABI has a call of that name. */
export function isSyscall(name: string): boolean {
  return ABIS.some((abi) => syscallTable(abi).numbers.has(name));
}

/** Every name of every ABI, sorted. */
export function allSyscalls(): readonly string[] {
  return [...new Set(ABIS.flatMap((abi) => [...syscallTable(abi).numbers.keys()]))].toSorted();
}
