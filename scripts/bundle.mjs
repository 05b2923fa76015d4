// Bundles the command into dist/bin/: sandbox.cjs, a loader of a few lines, and beside it the program with V8's code cache.
// Why, with figures: docs/decisions/0005-startup.md.
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import vm from "node:vm";
import { rolldown } from "rolldown";

const top = fileURLToPath(new URL("..", import.meta.url));
const bin = `${top}dist/bin/`;

const bundle = await rolldown({
  input: `${top}src/cli/main.ts`,
  platform: "node",
  // A native module cannot be inlined; it is loaded by the first run that needs it.
  external: ["koffi"],
  onLog(level, log, handler) {
    // Anything unresolved or circular is a mistake here.
    handler(level === "warn" ? "error" : level, log);
  },
});
const { output } = await bundle.generate({
  format: "cjs",
  // One file: its parts are still evaluated only when a command imports them.
  codeSplitting: false,
  minify: { compress: false, mangle: false, codegen: { removeWhitespace: true } },
  comments: { legal: true },
});
await bundle.close();
const [program] = output;
if (output.length !== 1)
  throw new Error(`expected one chunk, got ${output.map((chunk) => chunk.fileName).join(", ")}`);

// The names carry the digest: a loader never meets the program of another build, nor a program another build's cache.
const digest = createHash("sha256").update(program.code).digest("hex").slice(0, 16);
const programName = `sandbox-${digest}.cjs`;
const cacheName = `sandbox-${digest}.cache`;

/**
 * Builtins (and koffi, which most runs do not need) that an ES module imports are hoisted to the top of a bundle and would all be loaded by every command: node:crypto
 * alone takes 2.5 ms. Here they load when something of them is first used.
 */
function deferBuiltins(code) {
  const lazy =
    "const lazily=(name)=>{let loaded;return new Proxy({},{get:(_,key)=>(loaded??=require(name))[key]})};";
  const deferred = code
    .replaceAll(/\blet (node_\w+)=require\("(node:[\w/]+)"\);/g, 'let $1=lazily("$2");')
    .replace(
      'let koffi=require("koffi");koffi=__toESM(koffi,1);',
      'let koffi={get default(){return require("koffi")}};',
    );
  if (/\}let \w+=require\(|^(let|const) \w+=require\("koffi"/m.test(deferred)) {
    throw new Error("the bundle loads a module at its top: deferBuiltins must know its form");
  }
  return lazy + deferred;
}

/** V8 reads text of one byte per character at twice the speed; whatever else there is can be escaped in strings and templates. */
function asciiOnly(code) {
  if (/String\.raw`[^`]*[^\0-\x7f]/.test(code))
    throw new Error("String.raw would show an escape: use a plain string");
  return code.replaceAll(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

const HEAD = "(function(exports,require,module,__filename,__dirname){";
const TAIL = "\n})";

mkdirSync(bin, { recursive: true });
for (const name of readdirSync(bin)) if (/^sandbox-[0-9a-f]{16}\./.test(name)) rmSync(bin + name);
const source = HEAD + asciiOnly(deferBuiltins(program.code)) + TAIL;
writeFileSync(bin + programName, source);
writeFileSync(
  `${bin}sandbox.cjs`,
  `#!/usr/bin/env node
"use strict";
const { readFileSync } = require("node:fs");
const { Script } = require("node:vm");
const filename = __dirname + "/${programName}";
let cachedData;
try {
  cachedData = readFileSync(__dirname + "/${cacheName}");
} catch {
  // Only a cache: without it, or when it is another Node's, V8 compiles the program as usual.
}
const program = new Script(readFileSync(filename, "latin1"), { filename, cachedData });
const target = { exports: {} };
program.runInThisContext()(target.exports, require, target, filename, __dirname);
const { explain, main } = target.exports;
process.on("uncaughtException", (error) => process.exit(explain(error, 125)));
main(process.argv.slice(2)).then((status) => process.exit(status));
`,
);
chmodSync(`${bin}sandbox.cjs`, 0o755);

// The cache holds the functions that have run: so run what command lines always run, here and now, with their output dropped.
const script = new vm.Script(source, { filename: bin + programName });
const required = createRequire(`${bin}sandbox.cjs`);
const silent = (name) => {
  const module = required(name);
  return name === "node:fs" || name === "fs"
    ? { ...module, writeSync: (_descriptor, bytes) => bytes.length }
    : module;
};
const target = { exports: {} };
script.runInThisContext()(target.exports, silent, target, bin + programName, bin);
const scratch = mkdtempSync(`${tmpdir()}/sandbox-build-`);
try {
  await target.exports.main(["--version"]);
  await target.exports.main(["compile", "--output", `${scratch}/launcher`, "--", "/bin/true"]);
  await target.exports.main(["plan", "--", "/bin/true"]);
} finally {
  rmSync(scratch, { recursive: true });
}
writeFileSync(bin + cacheName, script.createCachedData());
console.log(
  `dist/bin: ${programName} ${readFileSync(bin + programName).length} bytes, cache ${readFileSync(bin + cacheName).length} bytes`,
);
