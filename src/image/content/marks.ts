/**
 * What a program is by what it contains, whatever it is called: a shell that was renamed is still a shell. Each mark is something that
 * only such programs have: the names of built-in commands, the functions of an embedded interpreter, an environment variable of its own.
 */
import type { Symbols } from "../../elf/hardening.ts";

export type Mark =
  | "shell"
  | "busybox"
  | "python"
  | "perl"
  | "ruby"
  | "node"
  | "php"
  | "lua"
  | "java"
  | "compiler"
  | "linker"
  | "debugger"
  | "dpkg"
  | "apt"
  | "rpm"
  | "apk"
  | "curl"
  | "ssh"
  | "network"
  | "git"
  | "make"
  | "awk"
  | "privilege";

interface Signature {
  readonly mark: Mark;
  /** All of these, in the program's constants. */
  readonly strings?: readonly string[];
  /** Any of these, imported or exported. */
  readonly symbols?: readonly string[];
  /** Any of these among DT_NEEDED. */
  readonly needed?: RegExp;
}

const SIGNATURES: readonly Signature[] = [
  // POSIX requires these as built-in commands, and this as the prompt of traces: every Bourne shell has them in its tables. (make(1) has the
  // commands, to know what it must not execute itself.)
  { mark: "shell", strings: ["getopts\0", "unalias\0", "PS4"] },
  // The C shell has other commands than POSIX's; of fish the options are narrow text, and its helpers do not have them.
  { mark: "shell", strings: ["unalias\0", "telltc\0"] },
  { mark: "shell", strings: ["profile-startup", "print-rusage-self"] },
  { mark: "busybox", strings: ["BusyBox v"] },
  { mark: "busybox", strings: ["Toybox %s multicall binary"] },
  { mark: "python", symbols: ["Py_BytesMain", "Py_Main", "Py_RunMain"] },
  { mark: "perl", symbols: ["perl_parse", "perl_run"] },
  { mark: "ruby", symbols: ["ruby_run_node", "ruby_options"] },
  { mark: "node", symbols: ["napi_create_function", "uv_run"] },
  { mark: "php", symbols: ["php_request_startup", "php_execute_script"] },
  { mark: "lua", symbols: ["luaL_newstate"] },
  { mark: "java", symbols: ["JLI_Launch"] },
  { mark: "compiler", strings: ["GCC_EXEC_PREFIX"] },
  { mark: "compiler", needed: /^libclang-cpp\.so|^libtcc\.so/ },
  { mark: "linker", strings: ["LDEMULATION\0"] },
  { mark: "debugger", strings: ["add-symbol-file"] },
  { mark: "debugger", strings: ["PTRACE_TRACEME\0", "PTRACE_SEIZE\0"] },
  { mark: "dpkg", strings: ["DPKG_ADMINDIR\0"] },
  { mark: "apt", needed: /^libapt-pkg\.so/ },
  { mark: "rpm", needed: /^librpm\.so/ },
  { mark: "rpm", needed: /^libdnf5?\.so/ },
  { mark: "apk", strings: ["lib/apk/db"] },
  { mark: "curl", strings: ["CURL_HOME\0"] },
  { mark: "ssh", strings: ["SSH_AUTH_SOCK\0", "proxycommand\0"] },
  { mark: "ssh", strings: ["SSH-2.0-dropbear"] },
  { mark: "network", strings: ["SYSTEM_WGETRC\0"] },
  { mark: "network", strings: ["RSYNC_RSH\0"] },
  { mark: "network", strings: ["NCAT_PROXY_AUTH"] },
  { mark: "network", strings: ["NMAP_PRIVILEGED\0"] },
  { mark: "network", strings: ["SOCAT_DEFAULT_LISTEN_IP\0"] },
  { mark: "network", strings: ["%s port [%s/%s] "] },
  { mark: "git", strings: ["GIT_EXEC_PATH\0"] },
  { mark: "make", strings: ["MAKEFLAGS\0", "MAKELEVEL\0"] },
  { mark: "awk", strings: ["WHINY_USERS\0"] },
  { mark: "awk", strings: ["AWKPATH\0"] },
  { mark: "rpm", needed: /^lib(?:zypp|alpm|opkg)\.so/ },
  { mark: "privilege", strings: ["SUDO_COMMAND\0"] },
];

/** `bytes`: the program, or as much of it as is at hand. */
export function findMarks(
  bytes: Buffer,
  symbols: Symbols | null,
  needed: readonly string[],
): readonly Mark[] {
  const names = symbols === null ? null : new Set([...symbols.exported, ...symbols.imported]);
  const has = ({ strings, symbols: any, needed: library }: Signature): boolean =>
    strings !== undefined
      ? strings.every((text) => bytes.includes(text, 0, "latin1"))
      : any !== undefined
        ? names !== null && any.some((name) => names.has(name))
        : needed.some((name) => library?.test(name) === true);
  const found = new Set<Mark>();
  for (const signature of SIGNATURES)
    if (!found.has(signature.mark) && has(signature)) found.add(signature.mark);
  // A multi-call binary is a shell only if it was built with one.
  if (found.has("busybox") && (bytes.includes("\0sh\0") || bytes.includes("\0ash\0"))) found.add("shell");
  return [...found];
}
