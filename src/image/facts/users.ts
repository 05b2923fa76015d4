/** Who may log in: etc/passwd, etc/shadow and etc/group (passwd(5), shadow(5), group(5)). Password digests are judged, never shown. */
import { type Gap, keptText } from "../packages/package.ts";
import type { Tree } from "../tree/tree.ts";

export interface User {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
  readonly shell: string;
  /** Its shell is a program of the image other than those that only refuse. */
  readonly login: boolean;
  /** "empty": anybody may log in as this user. */
  readonly password: "empty" | "set" | "locked";
}

export interface Users {
  readonly users: readonly User[];
  /** Ids that several names share. */
  readonly sharedIds: readonly {
    readonly id: number;
    readonly names: readonly string[];
    readonly of: "user" | "group";
  }[];
  readonly groups: ReadonlyMap<string, number>;
  readonly gaps: readonly Gap[];
}

/** More than an image has: tables of organisations are in directories, not in files. */
export const MOST_USERS = 100_000;

export function findUsers(tree: Tree): Users {
  const gaps: Gap[] = [];
  const lines = (path: string): readonly (readonly string[])[] =>
    (keptText(tree, path, gaps, MOST_USERS) ?? "")
      .split("\n")
      // What libc skips as well.
      .map((line) => line.trimStart())
      .filter((line) => line !== "" && !line.startsWith("#"))
      .map((line) => line.split(":"));
  // Of several lines for one name the first counts, for all that look (getspnam(3)).
  const shadow = new Map(
    lines("etc/shadow")
      .map(([name = "", password = ""]) => [name, password] as const)
      .toReversed(),
  );
  const users = lines("etc/passwd").map(
    ([name = "", password = "", uid, gid, , home = "", shell = ""]): User => ({
      name,
      uid: Number(uid),
      gid: Number(gid),
      home,
      shell,
      login: canLogIn(tree, shell),
      password: judge(password === "x" ? (shadow.get(name) ?? "*") : password),
    }),
  );
  const groups = lines("etc/group").map(([name = "", , gid]) => ({ name, id: Number(gid) }));
  return {
    users,
    sharedIds: [
      ...shared(
        users.map(({ name, uid }) => ({ name, id: uid })),
        "user",
      ),
      ...shared(groups, "group"),
    ],
    groups: new Map(groups.map(({ name, id }) => [name, id])),
    gaps,
  };
}

function judge(password: string): User["password"] {
  if (password === "") return "empty";
  return /^[!*]/.test(password) ? "locked" : "set";
}

/** No shell means /bin/sh (passwd(5)). */
function canLogIn(tree: Tree, shell: string): boolean {
  const path = shell === "" ? "/bin/sh" : shell;
  if (/\/(?:nologin|false|true|sync|shutdown|halt)$/.test(path)) return false;
  return tree.resolve(path)?.node.inode.type === "file";
}

function shared(
  all: readonly { readonly name: string; readonly id: number }[],
  of: "user" | "group",
): Users["sharedIds"] {
  const byId = new Map<number, string[]>();
  for (const { name, id } of all) {
    const names = byId.get(id) ?? [];
    byId.set(id, names);
    names.push(name);
  }
  return [...byId].filter(([, names]) => names.length > 1).map(([id, names]) => ({ id, names, of }));
}
