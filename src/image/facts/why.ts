/**
 * Why a package is in an image: who needs it, as far as the databases say. Pure. The shortest way from a package that nothing needs, so that
 * somebody asked for it, or its base had it; packages that need each other in a circle have no such beginning.
 */
import type { PackageFacts } from "../packages/find.ts";

export interface Why {
  readonly package: PackageFacts;
  /** Names of those that need it themselves, in order; null where its database does not say what needs what. */
  readonly neededBy: readonly string[] | null;
  /** From a package that nothing needs to this one; it alone when nothing needs it, none when all who need it need each other. */
  readonly chain: readonly string[];
}

/** Of one name: more than architectures and databases give. */
const MOST = 16;

/** For each package of that name, up to 16. Needs are told within one database only. */
export function whyPackage(packages: readonly PackageFacts[], name: string): readonly Why[] {
  return packages
    .filter((one) => one.name === name)
    .slice(0, MOST)
    .map((one) => {
      const peers = packages.filter(({ manager }) => manager === one.manager);
      if (peers.every(({ needs }) => needs === undefined)) return { package: one, neededBy: null, chain: [] };
      const needers = needersOf(peers);
      const direct = new Set(namesOf(one).flatMap((each) => needers.get(each) ?? []));
      const neededBy = [...direct].filter((peer) => peer !== one).map((peer) => peer.name);
      return { package: one, neededBy: neededBy.toSorted(), chain: chainTo(one, needers) };
    });
}

type Needers = ReadonlyMap<string, readonly PackageFacts[]>;

const namesOf = ({ name, provides = [] }: PackageFacts): readonly string[] => [name, ...provides];

/** Name → those that need it. Of alternatives every one counts. By name, since a hostile database has many of one and many that need it. */
function needersOf(peers: readonly PackageFacts[]): Needers {
  const found = new Map<string, PackageFacts[]>();
  for (const peer of peers)
    for (const name of (peer.needs ?? []).flat()) {
      const needers = found.get(name);
      if (needers === undefined) found.set(name, [peer]);
      else needers.push(peer);
    }
  return found;
}

/** Breadth first, upwards; each package and each name once. */
function chainTo(target: PackageFacts, needers: Needers): readonly string[] {
  const below = new Map<PackageFacts, PackageFacts | null>([[target, null]]);
  const asked = new Set<string>();
  for (const [one] of below) {
    let isNeeded = false;
    for (const name of namesOf(one)) {
      const above = needers.get(name) ?? [];
      isNeeded ||= above.some((peer) => peer !== one);
      if (asked.has(name)) continue;
      asked.add(name);
      for (const peer of above) if (!below.has(peer)) below.set(peer, one);
    }
    if (isNeeded) continue;
    const chain: string[] = [];
    for (let at: PackageFacts | null = one; at !== null; at = below.get(at) ?? null) chain.push(at.name);
    return chain;
  }
  return [];
}
