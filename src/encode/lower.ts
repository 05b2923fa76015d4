/**
 * A whole program to machine operations: startup, the roles one after the other, then what they share.
 * Takes a validated program; never looks at the architecture but through the machine and the call numbers.
 */
import { type Program, ROLES, type Role, roleProgram } from "../program/program.ts";
import { type ActiveStep, type Context, SETUP_FAILED } from "./context.ts";
import { lowerRoutines } from "./routines.ts";
import { lowerStartup } from "./startup.ts";
import { lowerBranch, lowerCall, lowerExpect, lowerSpawn, lowerStore } from "./steps/basic.ts";
import { lowerEnvironment, lowerExec } from "./steps/exec.ts";
import { lowerExit } from "./steps/exit.ts";
import { lowerFormat } from "./steps/format.ts";
import { lowerReport } from "./steps/report.ts";
import { lowerRun } from "./steps/run.ts";
import { lowerSupervise } from "./steps/supervise.ts";

export function lower(context: Context): void {
  lowerStartup(context);
  for (const role of ROLES) lowerRole(context, context.program, role);
  context.flushStubs();
  lowerRoutines(context);
}

function lowerRole(context: Context, program: Program, role: Role): void {
  const { steps, onFailure } = roleProgram(program, role);
  context.machine.label(context.entry(role));
  // Behind the failure label a failure exits at once: cleaning up must not fail into cleaning up.
  let final = false;
  for (const step of steps)
    if (step.kind === "label") {
      context.machine.label(context.label(role, step.name));
      if (step.name === onFailure) final = true;
    } else lowerStep(context, role, step, final);
  // A role that runs off its end did not do what it should have.
  context.exit(SETUP_FAILED);
}

function lowerStep(context: Context, role: Role, step: ActiveStep, final: boolean): void {
  switch (step.kind) {
    case "call":
      return lowerCall(context, role, step, final);
    case "format":
      return lowerFormat(context, role, step, final);
    case "store":
      return lowerStore(context, step);
    case "expect":
      return lowerExpect(context, role, step, final);
    case "branch":
      return lowerBranch(context, role, step);
    case "spawn":
      return lowerSpawn(context, role, step, final);
    case "run":
      return lowerRun(context, role, step, final);
    case "supervise":
      return lowerSupervise(context, role, step, final);
    case "environment":
      return lowerEnvironment(context, step);
    case "exec":
      return lowerExec(context, role, step);
    case "report":
      return lowerReport(context);
    case "exit":
      return lowerExit(context, step);
    default:
      return step satisfies never;
  }
}
