/**
 * `seccomp`: OCI's object as Docker, Podman and Kubernetes ship it → SeccompSpec. Older spellings (`name`, `errno`) become
 * the current ones; argument values become 64 bits. Whether a system call exists is known to the filter compiler, not here.
 */
import { ERRNO } from "../program/errno.ts";
import type { AuthorSeccomp, AuthorSeccompRule } from "./author.ts";
import { CAPABILITIES } from "./capability-names.ts";
import type { Report } from "./report.ts";
import type { SeccompArg, SeccompCondition, SeccompRule, SeccompSpec } from "./spec.ts";
import { parseUnsigned64 } from "./units.ts";

export function normaliseSeccomp(author: AuthorSeccomp, report: Report): SeccompSpec {
  const errno = errnoOf(
    author.defaultErrnoRet,
    author.defaultErrno,
    "/seccomp",
    "defaultErrnoRet",
    "defaultErrno",
    report,
  );
  if (errno !== undefined && author.defaultAction !== "SCMP_ACT_ERRNO")
    noErrno(author.defaultAction, "/seccomp/defaultAction", report);
  return {
    defaultAction: author.defaultAction,
    ...(errno === undefined ? {} : { defaultErrnoRet: errno }),
    ...(author.architectures ? { architectures: [...new Set(author.architectures)] } : {}),
    ...(author.flags ? { flags: [...new Set(author.flags)] } : {}),
    syscalls: (author.syscalls ?? []).map((rule, index) =>
      normaliseRule(rule, `/seccomp/syscalls/${index}`, report),
    ),
  };
}

/** OCI's config-linux.md: an errno for an action that takes none is an error. */
function noErrno(action: string, place: string, report: Report): void {
  report.add("profile-contradiction", place, `${action} returns no errno, but one is given`, {
    expected: '"SCMP_ACT_ERRNO", or no errno',
  });
}

function errnoOf(
  value: number | null | undefined,
  name: string | null | undefined,
  place: string,
  valueKey: string,
  nameKey: string,
  report: Report,
): number | undefined {
  if (name === null || name === undefined || name === "") return value ?? undefined;
  const table: Readonly<Record<string, number>> = ERRNO;
  const known = Object.hasOwn(table, name) ? table[name] : undefined;
  if (known === undefined) {
    const suggestion = report.nearest(name, Object.keys(table));
    report.add(
      "profile-value",
      `${place}/${nameKey}`,
      `${JSON.stringify(name.slice(0, 60))} is not an errno`,
      {
        expected: suggestion === undefined ? "a name of errno(3) such as EPERM" : undefined,
        suggestion,
      },
    );
  } else if (value !== null && value !== undefined && value !== known) {
    report.add(
      "profile-contradiction",
      `${place}/${nameKey}`,
      `${name} is ${known}, but ${valueKey} is ${value}`,
      {
        expected: "the same in both",
      },
    );
  }
  return known ?? value ?? undefined;
}

function normaliseRule(rule: AuthorSeccompRule, place: string, report: Report): SeccompRule {
  const names = [...(rule.names ?? [])];
  if (rule.name !== null && rule.name !== undefined) {
    if (names.length > 0)
      report.add("profile-contradiction", `${place}/name`, "both name and names are given", {
        expected: "names alone",
      });
    names.push(rule.name);
  }
  if (names.length === 0) {
    report.add("profile-value", place, "the rule names no system call", {
      expected: '"names" with at least one',
    });
  }
  const errno = errnoOf(rule.errnoRet, rule.errno, place, "errnoRet", "errno", report);
  if (errno !== undefined && rule.action !== "SCMP_ACT_ERRNO")
    noErrno(rule.action, `${place}/action`, report);
  const args = (rule.args ?? []).map((arg, index) => normaliseArg(arg, `${place}/args/${index}`, report));
  const includes = condition(rule.includes, `${place}/includes`, report);
  const excludes = condition(rule.excludes, `${place}/excludes`, report);
  return {
    names,
    action: rule.action,
    ...(errno === undefined ? {} : { errnoRet: errno }),
    ...(args.length === 0 ? {} : { args }),
    ...(includes === undefined ? {} : { includes }),
    ...(excludes === undefined ? {} : { excludes }),
  };
}

function normaliseArg(
  arg: NonNullable<AuthorSeccompRule["args"]>[number],
  place: string,
  report: Report,
): SeccompArg {
  const read = (value: string | number, field: string): bigint => {
    const number = parseUnsigned64(value);
    if (number === null) {
      report.add("profile-value", `${place}/${field}`, `${JSON.stringify(value)} does not fit in 64 bits`, {
        expected: "0 to 18446744073709551615",
      });
    }
    return number ?? 0n;
  };
  return {
    index: arg.index,
    op: arg.op,
    value: read(arg.value, "value"),
    valueTwo: read(arg.valueTwo ?? 0, "valueTwo"),
  };
}

function condition(
  author: AuthorSeccompRule["includes"],
  place: string,
  report: Report,
): SeccompCondition | undefined {
  if (author === null || author === undefined) return undefined;
  const known: readonly string[] = CAPABILITIES;
  for (const [index, name] of (author.caps ?? []).entries()) {
    if (known.includes(name)) continue;
    const suggestion = report.nearest(name, known);
    report.add(
      "profile-value",
      `${place}/caps/${index}`,
      `${JSON.stringify(name.slice(0, 60))} is not a capability`,
      {
        suggestion,
      },
    );
  }
  const result: SeccompCondition = {
    ...(author.caps && author.caps.length > 0 ? { caps: [...author.caps] } : {}),
    ...(author.arches && author.arches.length > 0 ? { arches: [...author.arches] } : {}),
    ...(author.minKernel ? { minKernel: author.minKernel } : {}),
  };
  return Object.keys(result).length === 0 ? undefined : result;
}
