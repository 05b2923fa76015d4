/** The seccomp profile of `docker run --security-opt seccomp=FILE`, Podman and containerd: for both architectures in one file. Pure. */
import type { Checked } from "../problems.ts";
import { type Exported, type ExportRequest, leftOut } from "./exported.ts";
import { portableFilter, tightenedLeft, toExactJson } from "./seccomp-rules.ts";

export function toDockerSeccomp({ profile }: ExportRequest): Checked<Exported> {
  const filter = portableFilter(profile);
  if (!filter.ok) return filter;
  const { value } = filter;
  const document =
    value === null
      ? { defaultAction: "SCMP_ACT_ALLOW" }
      : {
          ...value.spec,
          archMap: value.architectures.map((architecture) => ({ architecture, subArchitectures: [] })),
        };
  return {
    ok: true,
    value: {
      text: toExactJson(document),
      left: [
        ...leftOut(profile.spec, ["seccomp", "arguments"]),
        ...(value === null ? [] : tightenedLeft(value)),
      ],
    },
  };
}
