/** Image → everything that rules and reports go by, as plain data. Judges nothing. */
import { type BaseFacts, declaredBase, splitAt } from "../base.ts";
import { type Evidence, type EvidenceFacts, judgeEvidence } from "../evidence.ts";
import type { ImageConfig } from "../formats/config.ts";
import type { ImageKind } from "../formats/source.ts";
import { findPackages, type PackageFacts } from "../packages/find.ts";
import { type Gap, keptBytes, type Manager } from "../packages/package.ts";
import type { Image, LayerFacts } from "../read-image.ts";
import type { Anomaly } from "../tree/apply.ts";
import type { Inode, Tree } from "../tree/tree.ts";
import { type CredentialFile, findCredentialFiles } from "./credential-files.ts";
import { type ElfFacts, findElf } from "./elf.ts";
import { findIndexes, type PackageIndex } from "./indexes.ts";
import { findLeftovers, type Leftover } from "./leftovers.ts";
import { findPermissions, type Permissions } from "./permissions.ts";
import { findPrograms, type Program } from "./programs.ts";
import { findReach, type Reach } from "./reach.ts";
import { findReplaceable, identityOf, type Replaceable } from "./replaceable.ts";
import { collectSecrets, type Secret } from "./secrets.ts";
import { findUsers, type User, type Users } from "./users.ts";
import { findWaste, type Waste } from "./waste.ts";

export interface ImageFacts {
  readonly path: string;
  readonly kind: ImageKind;
  readonly names: readonly string[];
  readonly manifestDigest: string | null;
  readonly configDigest: string | null;
  readonly annotations: Readonly<Record<string, string>>;
  /** Null for a bare root file system. */
  readonly config: ImageConfig | null;
  /** From os-release(5); null without one. */
  readonly distribution: Distribution | null;
  readonly layers: readonly (LayerFacts & { readonly visible: number })[];
  readonly size: Size;
  /** What it was built on. */
  readonly base: BaseFacts;
  readonly managers: readonly Manager[];
  readonly packages: readonly PackageFacts[];
  readonly elf: ElfFacts;
  readonly programs: readonly Program[];
  readonly permissions: Permissions;
  readonly users: readonly User[];
  readonly sharedIds: Users["sharedIds"];
  readonly secrets: readonly Secret[];
  /** Called like credentials, whatever is in them. */
  readonly credentialFiles: readonly CredentialFile[];
  readonly leftovers: readonly Leftover[];
  readonly packageIndexes: readonly PackageIndex[];
  readonly waste: Waste;
  readonly reach: Reach;
  /** What recorded runs opened; null when none was given. */
  readonly evidence: EvidenceFacts | null;
  /** Reached programs and libraries that the user of the image may change. */
  readonly replaceable: readonly Replaceable[];
  readonly anomalies: readonly Anomaly[];
  /** What could not be known. A rule that depends on it must not pass. */
  readonly gaps: readonly Gap[];
}

export interface Size {
  /** Bytes of all layers as stored. */
  readonly stored: number;
  /** Bytes of all layers as tar files. */
  readonly unpacked: number;
  /** Bytes of files that a container sees, each file once. */
  readonly visible: number;
  readonly files: number;
  readonly directories: number;
  readonly links: number;
}

export interface Distribution {
  readonly id: string;
  readonly version: string;
  readonly name: string;
}

export async function factsOf(image: Image, evidence: Evidence | null = null): Promise<ImageFacts> {
  const { tree } = image;
  const config = image.source?.config ?? null;
  const packages = await findPackages(tree);
  const { users, sharedIds, groups, gaps: userGaps } = findUsers(tree);
  const gaps: Gap[] = [...image.gaps, ...packages.gaps, ...userGaps];
  const reach = findReach(tree, config, packages);
  const visible = visibleByLayer(tree, image.layers.length);
  const layers = image.layers.map((layer, index) => ({ ...layer, visible: visible[index] ?? 0 }));
  return {
    path: image.path,
    kind: image.kind,
    names: image.source?.names ?? [],
    manifestDigest: image.source?.manifestDigest ?? null,
    configDigest: image.source?.configDigest ?? null,
    annotations: image.source?.annotations ?? {},
    config,
    distribution: distributionOf(tree, gaps),
    layers,
    size: sizeOf(image, visible),
    base: baseOf(image, layers, packages.packages),
    managers: packages.managers,
    packages: packages.packages,
    elf: findElf(tree, packages),
    programs: findPrograms(tree),
    permissions: findPermissions(tree),
    users,
    sharedIds,
    secrets: collectSecrets(image, config),
    credentialFiles: findCredentialFiles(image),
    leftovers: findLeftovers(tree),
    packageIndexes: findIndexes(image),
    waste: findWaste(image),
    reach,
    evidence: evidence === null ? null : judgeEvidence(tree, evidence, reach.reached, packages),
    replaceable: findReplaceable(tree, reach, identityOf(config, users, groups)),
    anomalies: image.anomalies,
    gaps,
  };
}

function baseOf(
  { source, base, shadowed }: Image,
  layers: ImageFacts["layers"],
  packages: readonly PackageFacts[],
): BaseFacts {
  const declared = declaredBase(source?.annotations ?? {}, source?.config?.labels ?? {});
  if (base === null) return { declared, given: null, split: null };
  const { given, shared, fits } = base;
  const { manifestDigest, indexDigests, names, config } = given.source;
  const digests = [manifestDigest, ...indexDigests];
  const digest = declared?.digest ?? null;
  return {
    declared,
    given: {
      path: given.path,
      names,
      digest: manifestDigest,
      layers: config.diffIds.length,
      shared,
      fits,
      declared: digest === null || manifestDigest === null ? null : digests.includes(digest),
    },
    split: fits ? splitAt(shared, layers, packages, shadowed) : null,
  };
}

function visibleByLayer(tree: Tree, layers: number): readonly number[] {
  const bytes = Array.from({ length: layers }, () => 0);
  const seen = new Set<Inode>();
  for (const { node } of tree.walk()) {
    if (node.inode.type !== "file" || seen.has(node.inode)) continue;
    seen.add(node.inode);
    bytes[node.inode.layer] = (bytes[node.inode.layer] ?? 0) + node.inode.size;
  }
  return bytes;
}

function sizeOf(image: Image, visible: readonly number[]): Size {
  let files = 0;
  let directories = 0;
  let links = 0;
  for (const { node } of image.tree.walk()) {
    if (node.inode.type === "directory") directories++;
    else if (node.inode.type === "symlink") links++;
    else files++;
  }
  const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
  return {
    stored: sum(image.layers.map(({ size }) => size)),
    unpacked: sum(image.layers.map(({ unpacked }) => unpacked)),
    visible: sum(visible),
    files,
    directories,
    links,
  };
}

function distributionOf(tree: Tree, gaps: Gap[]): Distribution | null {
  const bytes = keptBytes(tree, "etc/os-release", gaps) ?? keptBytes(tree, "usr/lib/os-release", gaps);
  if (bytes === null) return null;
  const fields = new Map(
    bytes
      .toString("utf8")
      .split("\n")
      .flatMap((line) => {
        const match = /^([A-Z_0-9]+)=(?:"([^"]*)"|'([^']*)'|(.*))$/.exec(line.trim());
        return match === null ? [] : [[match[1] ?? "", match[2] ?? match[3] ?? match[4] ?? ""] as const];
      }),
  );
  return {
    id: fields.get("ID") ?? "linux",
    version: fields.get("VERSION_ID") ?? "",
    name: fields.get("PRETTY_NAME") ?? fields.get("NAME") ?? "",
  };
}
