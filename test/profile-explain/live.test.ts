/** What explain says cannot be done at a path cannot be done there by a program that runs. */
import { describe, expect, it } from "vitest";
import { explainPath } from "../../src/profile-explain/path.ts";
import { sandbox, USERS } from "../live/harness.ts";
import { factsOf } from "../profile-rules/facts.ts";

const PATHS = [
  "/",
  "/etc",
  "/etc/shadow",
  "/etc/passwd",
  "/usr/bin/id",
  "/usr/new",
  "/root",
  "/home",
  "/srv",
  "/tmp",
  "/tmp/new",
  "/var/log",
  "/proc/kcore",
  "/proc/sys/kernel/hostname",
  "/proc/self/mem",
  "/proc/keys",
  "/dev/null",
  "/dev/sda",
  "/dev/shm/new",
  "/sys",
];

describe.each(USERS)("run by %s", (user) => {
  it.each(["strict", "standard"])("%s: paths are as explained", { timeout: 60_000 }, async (profile) => {
    const facts = factsOf(profile);
    const script = `for path; do
  r=; w=; x=
  [ -r "$path" ] && r=r
  if [ -d "$path" ]; then ( : > "$path/.probe" ) 2> /dev/null && w=w && rm "$path/.probe"
  elif [ -e "$path" ]; then ( : >> "$path" ) 2> /dev/null && w=w
  else ( : > "$path" ) 2> /dev/null && { w=w; r=r; rm "$path"; }; fi
  echo "$path $r$w"
done`;
    const ran = await sandbox(user, ["/bin/sh", "-c", script, "sh", ...PATHS], { profile });
    expect(ran.stderr).toBe("");
    const found = ran.stdout.trim().split("\n");
    expect(found).toHaveLength(PATHS.length);
    // Modes may forbid more than the profile: whatever is possible must have been said to be.
    const beyond = found.filter((line) => {
      const [path = "", can = ""] = line.split(" ");
      const said = explainPath(facts, path);
      // What covers a masked file is an empty device, which anybody may read and write.
      if (said.shown.startsWith("masked")) return false;
      return (can.includes("w") && !said.writable) || (can.includes("r") && !said.readable);
    });
    expect(beyond).toEqual([]);
    // And something was possible, so that the probes mean something.
    expect(found.filter((line) => line.endsWith("w")).length).toBeGreaterThan(2);
  });
});
