/** Whether a capability can be had, in which sets it is, and the lines that decide. Pure. */
import type { Place } from "../gate/rule.ts";
import { CAPABILITY_SETS, type CapabilitySet } from "../profile/spec.ts";
import type { ProfileFacts } from "../profile-rules/facts.ts";

export interface CapabilityAnswer {
  readonly capability: string;
  /** By anything that the program may execute. */
  readonly canBeHad: boolean;
  /** Of the user namespace of its own, or of the host. */
  readonly over: "its own user namespace" | "the host";
  readonly sets: readonly { readonly set: CapabilitySet; readonly places: readonly Place[] }[];
  readonly why: string;
  readonly places: readonly Place[];
}

export function explainCapability(facts: ProfileFacts, capability: string): CapabilityAnswer {
  const { capabilities, namespaces, noNewPrivileges } = facts.spec;
  const sets = CAPABILITY_SETS.flatMap((set) => {
    const index = capabilities[set].indexOf(capability);
    return index === -1 ? [] : [{ set, places: facts.at(`/capabilities/${set}/${index}`) }];
  });
  const pointer = facts.capabilities.get(capability);
  const bounded = capabilities.bounding.includes(capability);
  const why =
    pointer !== undefined
      ? "a program inside has it, or gets it by executing a file that has it"
      : bounded && noNewPrivileges
        ? "it is in the bounding set only, and no_new_privs keeps files from giving it"
        : "it is not in the bounding set: nothing that is executed can bring it back";
  return {
    capability,
    canBeHad: pointer !== undefined,
    over: namespaces.user ? "its own user namespace" : "the host",
    sets,
    why,
    places: facts.at(pointer ?? (bounded ? "/noNewPrivileges" : "/capabilities/bounding")),
  };
}
