/**
 * What must hold of a program before it is lowered. A breach is a defect of whoever made the program, so it is a
 * bug(), never a Problem: nothing an author writes in a profile can lead here.
 */
import { bug } from "../problems.ts";
import { ERRNO } from "../program/errno.ts";
import {
  layoutMemory,
  MEMORY_BASE,
  type Operand,
  type Program,
  ROLES,
  type Role,
  type RoleProgram,
  roleProgram,
  type Step,
  stepOrder,
} from "../program/program.ts";

/** Room for the shared mapping: what absolute addressing reaches on both architectures. */
const MEMORY_LIMIT = 0x1000_0000;

export function validate(program: Program): void {
  const ids = unique(
    stepOrder(program).map((step) => step.id),
    "step",
  );
  const buffers = new Map(program.buffers.map((buffer) => [buffer.name, buffer.size]));
  unique(
    program.buffers.map((buffer) => buffer.name),
    "buffer",
  );
  for (const { name, size } of program.buffers)
    if (!Number.isSafeInteger(size) || size < 1) bug(`buffer ${name} has a size of ${size}`);
  const data = unique(
    program.data.map((item) => item.name),
    "constant",
  );
  const size = layoutMemory(program).size;
  if (size > MEMORY_LIMIT) bug(`the shared memory at ${MEMORY_BASE} would have ${size} bytes`);

  const area = (name: string, offset: number, width: number, where: string): void => {
    const bytes = buffers.get(name) ?? bug(`${where}: buffer ${name} is not defined`);
    if (!Number.isSafeInteger(offset) || offset < 0 || offset + width > bytes)
      bug(`${where}: ${width} bytes at ${offset} are outside buffer ${name} (${bytes} bytes)`);
  };
  const operand = (value: Operand, where: string): void => {
    switch (value.kind) {
      case "value":
        return;
      case "data":
        if (!data.has(value.name)) bug(`${where}: constant ${value.name} is not defined`);
        return;
      case "buffer":
        return area(value.name, value.offset, 0, where);
      case "load":
        return area(value.name, value.offset, value.width, where);
      case "result":
        if (!ids.has(value.step)) bug(`${where}: step ${value.step} is not defined`);
        return;
      default:
        return value satisfies never;
    }
  };
  for (const role of ROLES) {
    const labels = forwardLabels(role, roleProgram(program, role));
    for (const [index, step] of roleProgram(program, role).steps.entries())
      if (step.kind !== "label")
        checkStep(role, step, {
          operand: (value) => operand(value, step.id),
          area: (name, offset, width) => area(name, offset, width, step.id),
          later: (label) => {
            const at = labels.get(label) ?? bug(`${step.id}: ${role} has no label ${label}`);
            if (at <= index) bug(`${step.id}: label ${label} is not later in ${role}`);
          },
        });
  }
}

interface Checks {
  operand(value: Operand): void;
  area(name: string, offset: number, width: number): void;
  later(label: string): void;
}

function checkStep(role: Role, step: Exclude<Step, { kind: "label" }>, check: Checks): void {
  switch (step.kind) {
    case "call":
      if (step.args.length > 6) bug(`${step.id}: ${step.args.length} arguments`);
      for (const operand of step.args) check.operand(operand);
      if (typeof step.onError === "object")
        for (const [errno, label] of Object.entries(step.onError.errnos)) {
          errnoNumber(errno, step.id);
          if (label !== "next") check.later(label);
        }
      return;
    case "format":
      check.area(step.into, 0, 1);
      for (const part of step.parts)
        if ("decimal" in part) check.operand(part.decimal);
        else if ("hex" in part) check.area(part.hex, 0, part.bytes);
        else if ("buffer" in part) check.area(part.buffer, 0, 1);
      return;
    case "store":
      check.area(step.into, step.offset, step.width);
      return check.operand(step.value);
    case "expect":
      errnoNumber(step.errno, step.id);
      check.operand(step.value);
      return check.operand(step.equals);
    case "branch":
      check.operand(step.value);
      check.operand(step.equals);
      return check.later(step.to);
    case "spawn":
      if (step.role === "monitor" || step.role === role) bug(`${step.id}: ${role} cannot spawn ${step.role}`);
      if (step.cgroup !== undefined) check.operand(step.cgroup);
      return;
    case "run":
      if (step.argv.length === 0) bug(`${step.id}: run with an empty argv`);
      for (const argument of step.argv) if ("buffer" in argument) check.area(argument.buffer, 0, 1);
      return;
    case "supervise":
      if (role === "payload") bug(`${step.id}: the payload supervises nothing`);
      check.operand(step.child);
      if (step.stopNotify !== undefined) check.operand(step.stopNotify);
      if (step.winsize !== undefined) {
        check.operand(step.winsize.from);
        check.operand(step.winsize.to);
      }
      return;
    case "environment":
    case "exec":
    case "report":
    case "exit":
      return;
    default:
      return step satisfies never;
  }
}

/** The number of an errno that a step names. */
export function errnoNumber(name: string, where: string): number {
  return (ERRNO as Readonly<Record<string, number>>)[name] ?? bug(`${where}: no errno is called ${name}`);
}

function unique(names: readonly string[], what: string): ReadonlySet<string> {
  const seen = new Set<string>();
  for (const name of names) {
    if (seen.has(name)) bug(`${what} ${name} is defined twice`);
    seen.add(name);
  }
  return seen;
}

function forwardLabels(role: Role, { steps, onFailure }: RoleProgram): ReadonlyMap<string, number> {
  const labels = new Map<string, number>();
  for (const [index, step] of steps.entries())
    if (step.kind === "label") {
      if (step.name === "next") bug(`${role}: a label cannot be called next`);
      if (labels.has(step.name)) bug(`${role}: label ${step.name} is defined twice`);
      labels.set(step.name, index);
    }
  if (onFailure !== null && !labels.has(onFailure)) bug(`${role} has no label ${onFailure}`);
  return labels;
}
