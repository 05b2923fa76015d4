/**
 * A launch plan for people: every decision with its origin, then every step in the order of the launch, each with the reason why.
 * Pure; the same plan prints the same text. A path in it forges no line and reaches no terminal as anything but text.
 */
import type { Decision, LaunchPlan } from "../compile/plan.ts";
import { printable } from "../printable.ts";
import { formatPlace } from "../problems.ts";
import { type Operand, ROLES, type Role, roleProgram, type Step, type TextPart } from "./program.ts";

const ROLE_TITLES: Readonly<Record<Role, string>> = {
  monitor: "monitor: outside the sandbox",
  mapper: "mapper: holds a user namespace for binds whose ids are translated",
  init: "init: pid 1 inside",
  payload: "payload: last restrictions, then execve",
};

export interface PrintOptions {
  readonly color: boolean;
}

export function printPlan(plan: LaunchPlan, { color }: PrintOptions): string {
  const paint = (code: number, text: string): string =>
    color ? `\u001b[${code}m${printable(text)}\u001b[0m` : printable(text);
  const constants = new Map(plan.program.data.map((entry) => [entry.name, showConstant(entry)]));
  const lines = [
    paint(1, `Decisions of profile ${plan.spec.name}`),
    ...plan.decisions.map((decision) => printDecision(decision, paint)),
  ];
  let number = 0;
  for (const role of ROLES) {
    if (roleProgram(plan.program, role).steps.length === 0) continue;
    lines.push("", paint(1, `Steps of ${ROLE_TITLES[role]}`));
    for (const step of roleProgram(plan.program, role).steps) {
      if (step.kind === "label") {
        lines.push(`     ${printable(step.name)}:`);
        continue;
      }
      number += 1;
      lines.push(
        `${String(number).padStart(4)} ${printable(printStep(step, constants))}${paint(2, `  # ${step.why}`)}`,
      );
    }
  }
  return lines.join("\n");
}

function printDecision(decision: Decision, paint: (code: number, text: string) => string): string {
  const mark = { full: paint(32, "full   "), partial: paint(33, "partial"), none: paint(31, "none   ") }[
    decision.status
  ];
  const reason = decision.reason === "" ? "" : ` (${decision.reason})`;
  const what = printable(`${decision.id}: ${decision.setting}${reason}`);
  return `${mark} ${what}  ${paint(2, `[${formatPlace(decision.provenance)}]`)}`;
}

type Constants = ReadonlyMap<string, string>;

function showConstant(entry: LaunchPlan["program"]["data"][number]): string {
  if ("text" in entry) return JSON.stringify(entry.text);
  if ("hex" in entry)
    return entry.hex.length > 48 ? `<${entry.hex.length / 2} bytes ${entry.name}>` : `<${entry.hex}>`;
  return `<${entry.words.map((word) => (typeof word === "bigint" ? `${word}` : `&${word.addressOf}`)).join(" ")}>`;
}

function printOperand(operand: Operand, constants: Constants): string {
  switch (operand.kind) {
    case "value":
      return operand.value > 4096n ? `0x${operand.value.toString(16)}` : `${operand.value}`;
    case "data":
      return constants.get(operand.name) ?? operand.name;
    case "buffer":
      return `&${operand.name}${operand.offset === 0 ? "" : `+${operand.offset}`}`;
    case "result":
      return `$${operand.step}`;
    case "load":
      return `${operand.name}[${operand.offset}:${operand.width}]`;
  }
}

function printText(parts: readonly TextPart[], constants: Constants): string {
  return parts
    .map((part) => {
      if ("text" in part) return JSON.stringify(part.text).slice(1, -1);
      if ("decimal" in part)
        return `{${printOperand(part.decimal, constants)}${part.plus === undefined ? "" : ` + ${part.plus}`}}`;
      return "hex" in part ? `{hex of ${part.hex}}` : `{${part.buffer}}`;
    })
    .join("");
}

function printStep(step: Exclude<Step, { kind: "label" }>, constants: Constants): string {
  const show = (operand: Operand): string => printOperand(operand, constants);
  switch (step.kind) {
    case "call": {
      const tolerated =
        step.onError === "fail"
          ? ""
          : step.onError === "continue"
            ? " or go on"
            : ` or ${Object.entries(step.onError.errnos)
                .map(([errno, to]) => `${errno} → ${to}`)
                .join(", ")}`;
      return `${step.call}(${step.args.map(show).join(", ")})${tolerated}`;
    }
    case "format":
      return `${step.into} = "${printText(step.parts, constants)}"`;
    case "store":
      return `${step.into}[${step.offset}:${step.width}] = ${show(step.value)}`;
    case "expect":
      return `require ${show(step.value)} == ${show(step.equals)} else ${step.errno}`;
    case "branch":
      return `if ${show(step.value)} == ${show(step.equals)} go to ${step.to}`;
    case "spawn":
      return `spawn ${step.role} with flags 0x${step.flags.toString(16)}${step.cgroup === undefined ? "" : ` into cgroup ${show(step.cgroup)}`}`;
    case "run":
      return `run ${step.path} ${step.argv.map((part) => ("text" in part ? part.text : `{${part.buffer}}`)).join(" ")}`;
    case "supervise":
      return `supervise ${show(step.child)}, reaping ${step.reap}`;
    case "environment":
      return `environment ${[...step.set, ...step.pass.map((name) => `${name}=<caller's>`)].join(" ")}`;
    case "exec":
      return `execve ${step.path ?? `argv[0], searched in ${step.search.join(":")}`}${step.argv === null ? "" : ` ${step.argv.join(" ")}`}`;
    case "report":
      return "report what failed";
    case "exit":
      return `exit ${step.code}`;
  }
}
