/** Which tool a JSON document is for. Pure. */
import { childOf, type Node } from "./tree.ts";

/** A profile of ours; a container engine's seccomp profile; a SeccompProfile of Kubernetes; an OCI config.json. */
export type DocumentForm = "profile" | "container" | "kubernetes" | "oci";

/** Told by the fields that only one of them has. */
export function formOfTree(root: Node): DocumentForm {
  if (childOf(root, "defaultAction") !== undefined) return "container";
  if (childOf(root, "ociVersion") !== undefined || childOf(root, "linux") !== undefined) return "oci";
  if (isOfKind(root, "SeccompProfile") || seccompItems(root).length > 0) return "kubernetes";
  return "profile";
}

function isOfKind(node: Node, kind: string): boolean {
  const found = childOf(node, "kind");
  return found?.type === "scalar" && found.value === kind;
}

/** Where in a List of Kubernetes, which is how several objects are given, the filters are. */
export function seccompItems(root: Node): readonly string[] {
  const items = isOfKind(root, "List") ? childOf(root, "items") : undefined;
  if (items?.type !== "array") return [];
  return items.items.flatMap((item, index) => (isOfKind(item, "SeccompProfile") ? [`/items/${index}`] : []));
}
