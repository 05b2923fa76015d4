/** The user of an image's configuration as numbers, looked up in the image as container runtimes do (OCI image-spec, config.md, "User"). */
import { type Gap, keptText } from "../packages/package.ts";
import type { Tree } from "../tree/tree.ts";
import { MOST_USERS } from "./users.ts";

export interface Identity {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups that the image's etc/group gives to the user. */
  readonly groups: readonly number[];
}

const NUMBER = /^[0-9]{1,10}$/;
const MAX_ID = 4_294_967_294;

/** Null: a name that the image does not know, or a number beyond what ids are. No user at all is root. */
export function identityOf(tree: Tree, user: string): Identity | null {
  const gaps: Gap[] = [];
  const table = (path: string): readonly (readonly string[])[] =>
    (keptText(tree, path, gaps, MOST_USERS) ?? "").split("\n").map((line) => line.split(":"));
  const passwd = table("etc/passwd");
  const group = table("etc/group");
  const [who = "", which] = user.split(":");
  const entry = passwd.find(([name = "", , uid = ""]) =>
    who === "" ? uid === "0" : name === who || (NUMBER.test(who) && Number(uid) === Number(who)),
  );
  const uid = idOf(who === "" ? "0" : (entry?.[2] ?? who));
  const named = group.find(([name, , gid]) => which !== undefined && (name === which || gid === which));
  const gid = idOf(which === undefined || which === "" ? (entry?.[3] ?? "0") : (named?.[2] ?? which));
  if (uid === null || gid === null) return null;
  const member = entry?.[0] ?? "";
  const groups = group.flatMap(([, , id = "", members = ""]) =>
    member !== "" && members.split(",").includes(member) ? (idOf(id) ?? []) : [],
  );
  return { uid, gid, groups };
}

function idOf(text: string): number | null {
  const id = NUMBER.test(text) ? Number(text) : Number.NaN;
  return id <= MAX_ID ? id : null;
}
