/** Policies on disk: the shipped ones lie in policies/, at the same distance from this module in the sources, in dist/ and in the bundled command. */
import { fileURLToPath } from "node:url";
import { profileFiles } from "../profile/files.ts";
import type { PolicyFiles } from "./policy.ts";

/** Where the shipped policies are. */
export function policyDirectory(): string {
  return fileURLToPath(new URL("../../policies", import.meta.url));
}

/** Regular files only and no more than a profile may have, as for profiles. */
export function policyFiles(directory: string = policyDirectory()): PolicyFiles {
  return profileFiles(directory);
}
