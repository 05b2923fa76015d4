/** Paths of a profile as text: nothing here looks at a disk. */
import type { Report } from "./report.ts";

/** PATH_MAX and NAME_MAX, limits.h, in bytes and with the closing NUL. */
const PATH_MAX = 4096;
const NAME_MAX = 255;

/** An absolute path without "." and "..", doubled or trailing slashes. Reports what is none, and gives it back as it is. */
export function checkAbsolute(path: string, place: string, report: Report): string {
  const shown = JSON.stringify(path.length > 60 ? `${path.slice(0, 57)}...` : path);
  if (path.includes("\0")) {
    report.add("profile-value", place, `the path ${shown} has a NUL character`, {
      expected: "a path without one",
    });
    return path;
  }
  if (!path.startsWith("/")) {
    report.add("profile-value", place, `the path ${shown} is relative`, { expected: "an absolute path" });
    return path;
  }
  const parts = path.split("/").filter((part) => part !== "" && part !== ".");
  if (parts.includes("..")) {
    report.add("profile-value", place, `the path ${shown} has ".." in it`, { expected: "a path without it" });
    return path;
  }
  if (Buffer.byteLength(path) >= PATH_MAX || parts.some((part) => Buffer.byteLength(part) > NAME_MAX)) {
    report.add("profile-value", place, `the path ${shown} is too long`, {
      expected: `at most ${PATH_MAX - 1} bytes, and ${NAME_MAX} in a name`,
    });
    return path;
  }
  return `/${parts.join("/")}`;
}

/** Whether `path` is `directory` or below it. */
export function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === "/" ? "/" : `${directory}/`);
}
