// Makes this process one that is not on Linux: no native code, no /proc, no /sys, no other programs. Loaded with --require.
const fs = require("node:fs");
const { syncBuiltinESMExports } = require("node:module");

Object.defineProperty(process, "platform", { value: "darwin" });
const refuse = (what) => {
  process.stderr.write(`ELSEWHERE: ${what}\n`);
  process.exit(99);
};
process.dlopen = (_, file) => refuse(`native code: ${file}`);
for (const name of Object.keys(fs).filter((key) => typeof fs[key] === "function" && !/^[A-Z]/.test(key))) {
  const real = fs[name];
  fs[name] = Object.assign((path, ...rest) => {
    if (typeof path === "string" && /^\/(proc|sys|dev|run|etc)(\/|$)/.test(path)) refuse(`${name} ${path}`);
    return real.call(fs, path, ...rest);
  }, real);
}
const children = require("node:child_process");
for (const name of ["spawn", "spawnSync", "exec", "execSync", "execFile", "execFileSync", "fork"])
  children[name] = () => refuse(name);
syncBuiltinESMExports();
