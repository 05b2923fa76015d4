/**
 * The policy toolkit as a library: re-exports only. Reads policies of ours and of others, asks them, compares and proves them; needs neither root nor a
 * kernel, loads nothing native.
 *
 *     import { Prover, readPolicy } from "sandbox-runner/toolkit";
 */

export { type ComparedKernels, compareKernels, type KernelComparison } from "./compare-kernels.ts";
export {
  type Compared,
  type Comparison,
  type Comparisons,
  comparePolicies,
  provePolicies,
  type Relation,
} from "./compare-policies.ts";
export { ABIS, type Abi } from "./compile/seccomp/abi.ts";
export { type Call, call, formatVerdict, type Verdict } from "./compile/seccomp/ir.ts";
export { type Fate, type NewCall, type NewCalls, newCallsOf } from "./divergence/new-calls.ts";
export { type Divergence, divergencesOf } from "./divergence/report.ts";
export { exportProfile } from "./export.ts";
export { exitStatusOf, type Finding, type Report } from "./gate/finding.ts";
export { formatReport } from "./gate/formats/index.ts";
export type { Gated } from "./gate/run.ts";
export { type GateRequest, gateProfiles } from "./gate-profiles.ts";
export { type Imported, importPolicy } from "./import-policy.ts";
export { type FactsRequest, type PolicyFacts, policyFacts } from "./policy-facts.ts";
export { meaningOf, programOf } from "./policy-input/meaning.ts";
export {
  type InputFilter,
  type InputForm,
  type InputQuestion,
  type Note,
  type PolicyInput,
  readPolicy,
} from "./policy-input/read.ts";
export { profileFiles } from "./profile/files.ts";
export { type Exposure, exposureOf } from "./profile-rules/exposure.ts";
export { type ProfileFacts, profileFacts } from "./profile-rules/facts.ts";
export type { FilterCertificate } from "./prove/certificate.ts";
export { type Alternatives, formatAlternatives } from "./prove/conditions.ts";
export { type CallDifference, type Direction, differencesOf, overall } from "./prove/difference.ts";
export { disassemble, formatLines } from "./prove/disassemble.ts";
export { argumentsOf, callJson, formatCall, formatWitness } from "./prove/format-call.ts";
export { compareLayers, type Difference, refutesAtMost } from "./prove/layers.ts";
export type { LayerDirection } from "./prove/orders.ts";
export { type Conclusion, ENGINE, type Meaning, Prover, type Unknown, type Witness } from "./prove/prover.ts";
export { answeredCalls, reachableSyscalls } from "./prove/reachable.ts";
export { machineOf, type Simulated, type Simulation, simulate } from "./simulate.ts";
