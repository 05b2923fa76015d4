// Bundles the command into dist/bin/: sandbox.cjs, a loader of a few lines, and beside it the program with V8's code cache, in two
// parts: what a run loads, and the rest. Why, with figures: docs/decisions/0005-startup.md.
import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import vm from "node:vm";
import { rolldown } from "rolldown";
import { buildIdModule } from "./build-id.mjs";

const top = fileURLToPath(new URL("..", import.meta.url));
const bin = `${top}dist/bin/`;

const bundle = await rolldown({
  input: `${top}src/cli/main.ts`,
  platform: "node",
  // A native module cannot be inlined; it is loaded by the first run that needs it.
  external: ["koffi"],
  plugins: [
    { name: "build-id", load: (id) => (id === `${top}src/build-id.ts` ? buildIdModule() : null) },
    { name: "later", transform: (code, id) => loadLater(code, id) },
  ],
  onLog(level, log, handler) {
    // Completion looks at the command tree that is there already.
    if (log.code === "INEFFECTIVE_DYNAMIC_IMPORT") return;
    // Anything unresolved or circular is a mistake here.
    handler(level === "warn" ? "error" : level, log);
  },
});
const { output } = await bundle.generate({
  format: "cjs",
  entryFileNames: "main.cjs",
  chunkFileNames: "[name]-[hash].cjs",
  minify: { compress: false, mangle: false, codegen: { removeWhitespace: true } },
  comments: { legal: true },
});
await bundle.close();
const chunks = new Map(output.map(({ fileName, code }) => [`./${fileName}`, asciiOnly(deferBuiltins(code))]));

/**
 * Builtins (and koffi, which most runs do not need) that an ES module imports are hoisted to the top of a chunk and would all be
 * loaded by every command: node:crypto alone takes 2.5 ms. Here they load when something of them is first used.
 */
function deferBuiltins(code) {
  const lazy =
    'const lazily=(name)=>{let loaded;return new Proxy({},{get:(_,key)=>{loaded??=require(name);return key==="default"?loaded:loaded[key]}})};';
  const deferred = code
    .replaceAll(/\blet (node_\w+)=require\("(node:[\w/]+)"\);/g, 'let $1=lazily("$2");')
    // For a default import: it would copy the names that the proxy has, and it has none.
    .replaceAll(/\b(node_\w+)=[\w.]+\(\1,1\);/g, "")
    .replace(
      /let koffi=require\("koffi"\);koffi=[\w.]+\(koffi,1\);/,
      'let koffi={get default(){return require("koffi")}};',
    );
  if (/[;}]let \w+=require\("(?!\.\/)|^(let|const) \w+=require\("koffi"/m.test(deferred)) {
    throw new Error("the bundle loads a module at its top: deferBuiltins must know its form");
  }
  return lazy + deferred;
}

/**
 * What pino loads for transports and file destinations, which are not used here: 1.5 ms. It stays where it was, and loads when
 * something of it is called.
 */
function loadLater(code, id) {
  const lines = {
    "pino/lib/tools.js": ["const { isMainThread } = require('worker_threads')", "const isMainThread = true"],
    "pino/lib/transport.js": [
      "const ThreadStream = require('thread-stream')",
      "const ThreadStream = function (options) { return new (require('thread-stream'))(options) }",
      "const { createRequire } = require('module')",
      "const createRequire = (path) => require('module').createRequire(path)",
    ],
    "sonic-boom/index.js": [
      "const assert = require('assert')",
      "const assert = (...given) => require('assert')(...given)",
    ],
  };
  const file = Object.keys(lines).find((name) => id.endsWith(`/node_modules/${name}`));
  if (file === undefined) return null;
  let changed = code;
  for (let at = 0; at < lines[file].length; at += 2) {
    const [eager, later] = lines[file].slice(at, at + 2);
    if (!changed.includes(eager)) throw new Error(`${file} has no line ${eager} any more`);
    changed = changed.replace(eager, later);
  }
  return changed;
}

/** V8 reads text of one byte per character at twice the speed; whatever else there is can be escaped in strings and templates. */
function asciiOnly(code) {
  if (/String\.raw`[^`]*[^\0-\x7f]/.test(code))
    throw new Error("String.raw would show an escape: use a plain string");
  return code.replaceAll(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** A script whose value is a table of these chunks, each as a function. */
function tableOf(names) {
  const entries = names.map(
    (name) =>
      `${JSON.stringify(name)}:function(exports,require,module,__filename,__dirname){${chunks.get(name)}\n}`,
  );
  return `({${entries.join(",\n")}})`;
}

/** Runs command lines in this process, as the loader would, with what they print dropped. Gives the names of the chunks they loaded. */
async function exercise(tables, commandLines) {
  const required = createRequire(`${bin}sandbox.cjs`);
  const { writeSync } = required("node:fs");
  const quiet = (descriptor, bytes, ...rest) =>
    descriptor <= 2 ? bytes.length : writeSync(descriptor, bytes, ...rest);
  const loaded = new Map();
  const load = (name) => {
    if (/^(node:)?fs$/.test(name)) return { ...required(name), writeSync: quiet };
    if (!name.startsWith("./")) return required(name);
    const known = loaded.get(name);
    if (known !== undefined) return known.exports;
    const target = { exports: {} };
    loaded.set(name, target);
    tables.find((table) => name in table)[name](target.exports, load, target, `${bin}sandbox.cjs`, bin);
    return target.exports;
  };
  const { main } = load("./main.cjs");
  for (const words of commandLines) await main(words);
  return [...loaded.keys()];
}

mkdirSync(bin, { recursive: true });
for (const name of readdirSync(bin)) if (/^sandbox-[0-9a-f]{16}\b/.test(name)) rmSync(bin + name);
const scratch = mkdtempSync(`${tmpdir()}/sandbox-build-`);
const evaluate = (source) => new vm.Script(source).runInThisContext();
try {
  const run = ["run", "--audit", `${scratch}/audit.jsonl`, "--", "/bin/true"];
  const others = [
    ["--version"],
    ["compile", "--output", `${scratch}/launcher`, "--", "/bin/true"],
    ["plan", "--", "/bin/true"],
  ];
  // The first run on a host prepares what the next ones find in the cache: those are the ones to be fast.
  await exercise([evaluate(tableOf([...chunks.keys()]))], [run]);
  const hot = await exercise([evaluate(tableOf([...chunks.keys()]))], [run]);
  const sources = {
    run: tableOf(hot),
    rest: tableOf([...chunks.keys()].filter((name) => !hot.includes(name))),
  };
  // The names carry the digest: a loader never meets the program of another build, nor a program another build's cache.
  const digest = createHash("sha256").update(sources.run).update(sources.rest).digest("hex").slice(0, 16);
  const fileOf = (part) => `${bin}sandbox-${digest}-${part}`;
  const scripts = Object.fromEntries(
    Object.entries(sources).map(([part, source]) => {
      writeFileSync(`${fileOf(part)}.cjs`, source);
      return [part, new vm.Script(source, { filename: `${fileOf(part)}.cjs` })];
    }),
  );
  const tables = [scripts.run.runInThisContext(), scripts.rest.runInThisContext()];
  // A cache holds the functions that have run: so run what command lines always run, here and now.
  await exercise(tables, [run]);
  writeFileSync(`${fileOf("run")}.cache`, scripts.run.createCachedData());
  await exercise(tables, others);
  writeFileSync(`${fileOf("rest")}.cache`, scripts.rest.createCachedData());
  writeFileSync(`${bin}sandbox.cjs`, loader(digest));
  chmodSync(`${bin}sandbox.cjs`, 0o755);
  for (const part of ["run", "rest"]) {
    const size = (suffix) => `${readFileSync(fileOf(part) + suffix).length} bytes`;
    console.log(`dist/bin: ${part} ${size(".cjs")}, cache ${size(".cache")}`);
  }
} finally {
  rmSync(scratch, { recursive: true });
}

function loader(digest) {
  return `#!/usr/bin/env node
"use strict";
const { readFileSync } = require("node:fs");
const { Script } = require("node:vm");

/** One part of the program: a table of chunks. */
function read(part) {
  const filename = \`\${__dirname}/sandbox-${digest}-\${part}.cjs\`;
  let cachedData;
  try {
    cachedData = readFileSync(\`\${__dirname}/sandbox-${digest}-\${part}.cache\`);
  } catch {
    // Only a cache: without it, or when it is another Node's, V8 compiles the program as usual.
  }
  return new Script(readFileSync(filename, "latin1"), { filename, cachedData }).runInThisContext();
}

const run = read("run");
let rest;
const loaded = new Map();
function load(name) {
  if (!name.startsWith("./")) return require(name);
  const known = loaded.get(name);
  if (known !== undefined) return known.exports;
  const target = { exports: {} };
  loaded.set(name, target);
  const chunk = run[name] ?? (rest ??= read("rest"))[name];
  chunk(target.exports, load, target, __filename, __dirname);
  return target.exports;
}

const { explain, main } = load("./main.cjs");
process.on("uncaughtException", (error) => process.exit(explain(error, 125)));
main(process.argv.slice(2)).then((status) => process.exit(status));
`;
}
