/**
 * What of a plan is needed to run it, without what only the launcher's image needs: plain data that fits into JSON.
 */
import type { LaunchPlan } from "../compile/plan.ts";
import {
  type Layout,
  layoutMemory,
  type OnError,
  type Program,
  type Step,
  stepOrder,
} from "../program/program.ts";

/** A plan as its runs see it. */
export interface RunPlan extends Pick<LaunchPlan, "decisions" | "supervisor"> {
  readonly spec: Pick<LaunchPlan["spec"], "identity">;
  readonly program: Pick<Program, "buffers" | "seal">;
}

/** A step as reports see it: fields as in `Step`. */
export interface StepFacts {
  readonly id: string;
  readonly decision: string;
  readonly kind: Exclude<Step["kind"], "label">;
  readonly call?: string;
  readonly onError?: OnError;
  readonly target?: string;
  readonly path?: string | null;
  readonly cgroup?: unknown;
}

export interface LaunchSheet {
  readonly plan: RunPlan;
  readonly layout: Pick<Layout, "buffers" | "size">;
  /** In `stepOrder`. */
  readonly steps: readonly StepFacts[];
  /** Index of the step that starts init, -1 when there is none. */
  readonly init: number;
}

/** The part of a plan that its runs need. */
export function makeSheet({ decisions, supervisor, spec, program }: LaunchPlan): LaunchSheet {
  const steps = stepOrder(program);
  const { buffers, size } = layoutMemory(program);
  const spawn = program.roles.monitor.steps.find((step) => step.kind === "spawn" && step.role === "init");
  return {
    plan: {
      decisions,
      supervisor,
      spec: { identity: spec.identity },
      program: { buffers: program.buffers, seal: program.seal },
    },
    layout: { buffers, size },
    steps: steps.map(stepFacts),
    init: spawn === undefined || spawn.kind === "label" ? -1 : steps.findIndex(({ id }) => id === spawn.id),
  };
}

function stepFacts(step: ReturnType<typeof stepOrder>[number]): StepFacts {
  const { id, decision, kind } = step;
  const common = { id, decision, kind };
  if (step.kind === "run") return { ...common, path: step.path };
  if (step.kind === "spawn") return step.cgroup === undefined ? common : { ...common, cgroup: true };
  if (step.kind !== "call" && step.kind !== "expect") return common;
  return {
    ...common,
    ...(step.target === undefined ? {} : { target: step.target }),
    ...(step.kind === "call" ? { call: step.call } : {}),
    ...(step.kind === "call" && step.onError === "continue" ? { onError: step.onError } : {}),
  };
}

/** As JSON.stringify takes it; `sheetFromJson` is its inverse. */
export function sheetToJson({ layout, ...rest }: LaunchSheet): object {
  return { ...rest, layout: { size: layout.size, buffers: [...layout.buffers] } };
}

export function sheetFromJson(json: object): LaunchSheet {
  const { layout, ...rest } = json as Omit<LaunchSheet, "layout"> & {
    readonly layout: {
      readonly size: number;
      readonly buffers: readonly [string, { offset: number; size: number }][];
    };
  };
  return { ...rest, layout: { size: layout.size, buffers: new Map(layout.buffers) } };
}
