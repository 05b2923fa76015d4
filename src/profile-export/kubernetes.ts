/**
 * For Kubernetes: a pod whose securityContext, volumes and limits say what they can of a profile, and the filter as a SeccompProfile of the Security
 * Profiles Operator, which puts it on every node. JSON, which kubectl takes as it takes YAML. Pure.
 */
import type { Checked } from "../problems.ts";
import type { Mount, Spec } from "../profile/spec.ts";
import { type Exported, type ExportRequest, leftOut, oneMachineLeft } from "./exported.ts";
import { machineRules, portableFilter, tightenedLeft, toExactJson } from "./seccomp-rules.ts";

export function toKubernetes({ profile, arch }: ExportRequest): Checked<Exported> {
  const filter = portableFilter(profile);
  if (!filter.ok) return filter;
  const { spec } = profile;
  const name = objectName(spec.name);
  const seccomp =
    filter.value === null
      ? []
      : [
          {
            apiVersion: "security-profiles-operator.x-k8s.io/v1beta1",
            kind: "SeccompProfile",
            metadata: { name },
            spec: {
              ...filter.value.spec,
              ...machineRules(filter.value, arch),
            },
          },
        ];
  const document = {
    apiVersion: "v1",
    kind: "List",
    items: [...seccomp, pod(spec, name, seccomp.length > 0)],
  };
  const left = leftOut(spec, [
    ...(["seccomp", "arguments", "namespaces", "identity", "idMap", "hostname", "capabilities"] as const),
    ...([
      "noNewPrivileges",
      "mounts",
      "masks",
      "network",
      "environment",
      "memory",
      "cpus",
      "wallTime",
    ] as const),
    ...(spec.filesystem.write === "none" ? (["write"] as const) : []),
  ]);
  const image = { pointer: "/filesystem/root", what: "the root comes from the image, which is to be named" };
  return {
    ok: true,
    value: {
      text: toExactJson(document),
      left: [
        ...left,
        image,
        ...(filter.value === null ? [] : [...oneMachineLeft(spec, arch), ...tightenedLeft(filter.value)]),
      ],
    },
  };
}

/** RFC 1123 labels are what object names may be. */
function objectName(name: string): string {
  return (
    name
      .toLowerCase()
      .replaceAll(/[^a-z0-9-]+/g, "-")
      .replaceAll(/^-+|-+$/g, "")
      .slice(0, 63) || "sandbox"
  );
}

function pod(spec: Spec, name: string, filtered: boolean): unknown {
  const { identity, namespaces, network, resources, capabilities, filesystem, environment } = spec;
  const drop = { drop: ["ALL"] };
  const add = capabilities.bounding.map((capability) => capability.replace(/^CAP_/, ""));
  const volumes = filesystem.mounts.flatMap(toVolume);
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name },
    spec: {
      hostNetwork: network.mode === "host",
      hostPID: !namespaces.pid,
      hostIPC: !namespaces.ipc,
      hostUsers: !namespaces.user,
      ...(namespaces.uts ? { hostname: objectName(identity.hostname) } : {}),
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      restartPolicy: "Never",
      ...(resources.wallTime === null
        ? {}
        : { activeDeadlineSeconds: Math.max(1, Math.ceil(resources.wallTime / 1000)) }),
      securityContext: {
        runAsUser: identity.uid,
        runAsGroup: identity.gid,
        runAsNonRoot: identity.uid !== 0,
        seccompProfile: filtered
          ? { type: "Localhost", localhostProfile: `operator/default/${name}.json` }
          : { type: "Unconfined" },
      },
      containers: [
        {
          name,
          image: "IMAGE",
          env: Object.entries(environment.set).map(([variable, value]) => ({ name: variable, value })),
          securityContext: {
            privileged: false,
            allowPrivilegeEscalation: !spec.noNewPrivileges,
            readOnlyRootFilesystem: filesystem.write === "none",
            capabilities: add.length === 0 ? drop : { ...drop, add },
          },
          resources: {
            limits: {
              ...(resources.memory === null ? {} : { memory: `${resources.memory}` }),
              ...(resources.cpus === null ? {} : { cpu: `${Math.round(resources.cpus * 1000)}m` }),
            },
          },
          volumeMounts: volumes.map(({ mount }) => mount),
        },
      ],
      volumes: volumes.map(({ volume }) => volume),
    },
  };
}

function toVolume(
  mount: Mount,
  index: number,
): readonly { readonly volume: unknown; readonly mount: unknown }[] {
  const name = `mount-${index}`;
  if (mount.type === "tmpfs")
    return [
      {
        volume: { name, emptyDir: { medium: "Memory", sizeLimit: `${mount.size}` } },
        mount: { name, mountPath: mount.target, readOnly: mount.readOnly },
      },
    ];
  if (mount.type === "bind")
    return [
      {
        volume: { name, hostPath: { path: mount.source } },
        mount: { name, mountPath: mount.target, readOnly: mount.readOnly },
      },
    ];
  return [];
}
