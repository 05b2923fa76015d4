/**
 * The public library: re-exports only.
 *
 *     import { createSandbox } from "sandbox-runner";
 *     const sandbox = await createSandbox({ profile: "strict" });
 *     const outcome = await sandbox.run(["/usr/bin/python3", "-c", "print(1)"], { timeout: "5s" });
 */

export { parseHead, signHead } from "./audit/head.ts";
export { defaultAuditFile } from "./audit/log.ts";
export { renderFault, renderRecord, showLog } from "./audit/show.ts";
export { tailLog } from "./audit/tail.ts";
export { exportHead, verifyLog } from "./audit/verify.ts";
export { checkProfile } from "./check-profile.ts";
export { controlStatus } from "./compile/index.ts";
export { writeUserNamespaceProfile } from "./compile/lsm/apparmor-userns.ts";
export type { Decision, LaunchPlan } from "./compile/plan.ts";
export { EXPORTERS, type ExportFormat, exportProfile } from "./export.ts";
export { cleanLeftovers } from "./host/clean.ts";
export { type DoctorReport, examine } from "./host/doctor.ts";
export type { HostFacts } from "./host/facts.ts";
export { probeHost, probeMachine } from "./host/probe.ts";
export { renderDoctor } from "./host/render-doctor.ts";
export {
  type Enforcement,
  exitStatus,
  type LaunchErrorData,
  type Outcome,
  type Reason,
  type Usage,
} from "./launch/outcome.ts";
export { formatProblem, type Problem, type ProblemKind, ProfileError, type Provenance } from "./problems.ts";
export { profileFiles } from "./profile/files.ts";
export { resolveProfile } from "./profile/resolve.ts";
export type { Override, ResolvedProfile, Spec } from "./profile/spec.ts";
export { printPlan } from "./program/print.ts";
export { signalNumber } from "./program/signal.ts";
export { createSandbox, type RunOptions, type Sandbox, type SandboxOptions } from "./sandbox.ts";
export { TOOL } from "./version.ts";
