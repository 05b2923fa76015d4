/** A throw-away process that installs a filter and makes calls under it. */
import { spawnSync } from "node:child_process";
import { skipUnless } from "./support.ts";

/** Reads a filter (hex) and calls (nr and six arguments a line), installs the one, makes the others, prints each errno or result. */
export const DRIVER = String.raw`
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
libc.syscall.argtypes = [ctypes.c_ulong] * 7
code = bytes.fromhex(sys.stdin.readline().strip())
calls = [[int(word) for word in line.split()] for line in sys.stdin]
buffer = ctypes.create_string_buffer(code)
class Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
program = Program(len(code) // 8, ctypes.cast(buffer, ctypes.c_void_p))
if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(program), 0, 0):
    sys.exit(f"cannot install: {ctypes.get_errno()}")
out = []
for each in calls:
    ctypes.set_errno(0)
    result = libc.syscall(*each)
    out.append(str(ctypes.get_errno() if result == -1 else 0))
print(" ".join(out))
`;

export function perform(code: Uint8Array, calls: readonly (readonly [number, ...bigint[]])[]) {
  const lines = calls.map(([nr, ...args]) => [nr, ...args].map(String).join(" "));
  return spawnSync("python3", ["-c", DRIVER], {
    input: `${Buffer.from(code).toString("hex")}\n${lines.join("\n")}\n`,
    encoding: "utf8",
    timeout: 10_000,
  });
}

const python = spawnSync("python3", ["-c", "import ctypes"]).status === 0;
/** Whether there is no such process here; says so. */
export const skip = skipUnless(process.arch === "x64" && python, "needs x86-64 and python3 with ctypes");
