/** The program that asks the kernel for its Landlock ABI. Loaded only when no answer is kept. */
import { spawnSync } from "node:child_process";
import { encodeProgram } from "../encode/index.ts";
import { prepareImage } from "../launch/image.ts";
import { Listing, value } from "../program/build.ts";
import { LANDLOCK_CREATE_RULESET_VERSION } from "../program/landlock.ts";
import type { Program, Step } from "../program/program.ts";
import type { Arch } from "./facts.ts";
import { errorCode } from "./files.ts";

/** Far more ABIs than there are; an exit status has a byte. */
const HIGHEST = 100;
/** Milliseconds; it takes two. */
const PATIENCE = 5000;

/**
 * 0 when the kernel has no Landlock, has it turned off, or something around us refuses to ask. null when the program cannot be run: no
 * directory for it, no process left, killed from outside. A launcher could not be run then either, and will say so.
 */
export function askKernel(arch: Arch): number | null {
  try {
    const image = prepareImage(encodeProgram(versionProgram(arch)));
    try {
      const { status, signal, error } = spawnSync(image.path, [], {
        stdio: "ignore",
        env: {},
        timeout: PATIENCE,
        killSignal: "SIGKILL",
      });
      return error === undefined ? answerOf(status, signal) : null;
    } finally {
      image.close();
    }
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return null;
  }
}

/**
 * What the end of the program says. A filter around us that kills for the call (SIGSYS) kills a launch for it as well: no Landlock. Any other
 * signal, such as the kernel's when memory runs out, says nothing.
 */
export function answerOf(status: number | null, signal: NodeJS.Signals | null): number | null {
  return signal === "SIGSYS" ? 0 : status;
}

/** landlock_create_ruleset(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION): the ABI as exit status, 0 for every error. */
function versionProgram(arch: Arch): Program {
  const steps: Step[] = [];
  const at = new Listing(steps, "host");
  const abi = at.call(
    "version",
    "which Landlock is there?",
    "landlock_create_ruleset",
    [0, 0, LANDLOCK_CREATE_RULESET_VERSION],
    { onError: "continue" },
  );
  for (let number = 1; number <= HIGHEST; number += 1)
    at.branch(`is.${number}`, "this one?", abi, value(number), `${number}`);
  at.step({ kind: "exit", code: 0 }, "exit.none", "none");
  for (let number = 1; number <= HIGHEST; number += 1) {
    at.label(`${number}`);
    at.step({ kind: "exit", code: number }, `exit.${number}`, "the answer");
  }
  const nothing = { onFailure: null, steps: [] };
  return {
    arch,
    memory: "anonymous",
    seal: false,
    data: [],
    buffers: [],
    roles: { monitor: { onFailure: null, steps }, init: nothing, payload: nothing },
  };
}
