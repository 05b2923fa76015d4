/** File capabilities in a directory: read from the very file that is read, and where they cannot be read, never passed over. */
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, copyFileSync, existsSync, linkSync, symlinkSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { factsOf } from "../../src/image/facts/facts.ts";
import { capabilityReader } from "../../src/image/tree/file-capabilities.ts";
import { toChecked } from "../../src/image-rules/checked-image.ts";
import { IMAGE_RULES } from "../../src/image-rules/registry.ts";
import { need } from "../host/needs.ts";
import { readGood, scratch } from "./layout.ts";

const SETCAP = "/usr/sbin/setcap";
const isRoot = process.getuid?.() === 0;
const NAMESPACE = ["/usr/bin/unshare", "--user", "--map-root-user"];
const AS_NOBODY = ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];

const run = (words: readonly string[]) => spawnSync(words[0] ?? "", words.slice(1), { encoding: "utf8" });
/** By root, or by root of a user namespace: the attribute then counts in that one (version 3). */
const give = (file: string, capability: string, before: readonly string[]): boolean =>
  run([...before, SETCAP, `${capability}+ep`, file]).status === 0;

describe("file capabilities in a directory", () => {
  test("are those of the file that is read, under each of its names and not through links", async (context) => {
    need(context, existsSync(SETCAP), "setcap (libcap2-bin) is not installed");
    const root = scratch();
    const outside = join(scratch(), "outside");
    for (const path of [join(root, "ping"), join(root, "plain"), outside]) copyFileSync("/bin/true", path);
    const before = isRoot ? [] : NAMESPACE;
    need(context, give(join(root, "ping"), "cap_net_raw", before), "no file capability can be set here");
    expect(give(outside, "cap_sys_admin", before)).toBe(true);
    symlinkSync(outside, join(root, "link"));
    linkSync(join(root, "ping"), join(root, "second-name"));
    const { permissions, gaps } = await factsOf(await readGood(root));
    expect(permissions.capable.map(({ path, capabilities }) => [path, capabilities?.permitted])).toEqual([
      ["ping", ["CAP_NET_RAW"]],
      ["second-name", ["CAP_NET_RAW"]],
    ]);
    expect(permissions.capable[0]?.capabilities?.rootId ?? 0).toBe(process.getuid?.());
    expect(gaps).toEqual([]);
  });

  test("that have no meaning where they are read are not passed over", (context) => {
    need(context, isRoot && existsSync(SETCAP), "needs root, and setcap (libcap2-bin)");
    const root = scratch();
    const file = join(root, "ping");
    copyFileSync("/bin/true", file);
    chownSync(file, 65534, 65534);
    chmodSync(root, 0o755);
    need(
      context,
      give(file, "cap_net_raw", [...AS_NOBODY, ...NAMESPACE]),
      "nobody may have no user namespace",
    );
    const command = [process.execPath, resolve("dist/bin/sandbox.cjs"), "image", "inspect", "--json", root];
    expect(JSON.parse(run(command).stdout)).toMatchObject({
      permissions: {
        capable: [{ path: "ping", capabilities: { permitted: ["CAP_NET_RAW"], rootId: 65534 } }],
      },
      gaps: [],
    });
    // Root of another namespace is not told what the attribute says.
    const elsewhere: unknown = JSON.parse(run([...NAMESPACE, ...command]).stdout);
    expect(elsewhere).toMatchObject({
      permissions: { capable: [] },
      gaps: [{ path: "ping", reason: "its file capabilities cannot be read (EOVERFLOW): give a tar file" }],
    });
  });

  test("that nothing here can read leave the rule about them unjudged, which is no pass", async () => {
    const reader = await capabilityReader(() =>
      Promise.reject(new Error("Cannot find package 'koffi'\nfrom x")),
    );
    expect(reader.read(0, "any")).toBeNull();
    const root = scratch();
    copyFileSync("/bin/true", join(root, "true"));
    const image = { ...(await readGood(root)), gaps: reader.gaps() };
    const rule = IMAGE_RULES.rules.find(({ id }) => id === "no-file-capabilities");
    const checked = toChecked(await factsOf(image), null, "2026-01-01");
    expect([...(rule?.check(checked, { allow: ["*"] }) ?? [])]).toMatchObject([
      {
        object: "not judged",
        undecided: true,
        message:
          "cannot be judged: file capabilities are extended attributes, which cannot be read here (Cannot find package 'koffi'): give a tar file",
      },
    ]);
  });
});
