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
 * directory for it, no process left. A launcher could not be run then either, and will say so.
 */
export function askKernel(arch: Arch): number | null {
  try {
    const image = prepareImage(encodeProgram(versionProgram(arch)));
    try {
      const { status, error } = spawnSync(image.path, [], {
        stdio: "ignore",
        env: {},
        timeout: PATIENCE,
        killSignal: "SIGKILL",
      });
      // No status and no error: killed by a filter around us, which refuses the call to a launch as well.
      return error === undefined ? (status ?? 0) : null;
    } finally {
      image.close();
    }
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return null;
  }
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
