/**
 * An image's configuration (OCI image-spec, config.md; docker writes the same fields and a few more) → plain data with nothing optional.
 */
import { malformed } from "../refusal.ts";
import { type Fields, parseDocument } from "./fields.ts";

export interface ImageConfig {
  readonly architecture: string;
  readonly os: string;
  readonly variant: string;
  readonly created: string | null;
  readonly author: string | null;
  /** As written: "", "app", "1000", "1000:1000", "app:staff". */
  readonly user: string;
  readonly env: readonly string[];
  readonly entrypoint: readonly string[];
  readonly command: readonly string[];
  readonly workingDirectory: string;
  /** "8080/tcp". */
  readonly ports: readonly string[];
  readonly volumes: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly stopSignal: string | null;
  /** Its test, or null when there is none or it is switched off. */
  readonly healthcheck: readonly string[] | null;
  /** What a health check of one text is run by; empty: the runtime's own. */
  readonly shell: readonly string[];
  readonly onBuild: readonly string[];
  readonly history: readonly HistoryLine[];
  /** Digests of the unpacked layers, lowest first. */
  readonly diffIds: readonly string[];
}

export interface HistoryLine {
  readonly createdBy: string;
  readonly comment: string;
  readonly created: string | null;
  /** Made no layer. */
  readonly empty: boolean;
}

export function parseConfig(bytes: Buffer): ImageConfig {
  const top = parseDocument(bytes, "the image configuration");
  const config = top.object("config");
  const rootfs = top.object("rootfs");
  const diffIds = rootfs?.texts("diff_ids") ?? null;
  if (rootfs === null || diffIds === null || rootfs.text("type") !== "layers")
    throw malformed("the image configuration does not list its layers (rootfs.diff_ids)");
  return {
    architecture: top.text("architecture") ?? "",
    os: top.text("os") ?? "",
    variant: top.text("variant") ?? "",
    created: top.text("created"),
    author: top.text("author"),
    user: config?.text("User") ?? "",
    env: config?.texts("Env") ?? [],
    entrypoint: config?.texts("Entrypoint") ?? [],
    command: config?.texts("Cmd") ?? [],
    workingDirectory: config?.text("WorkingDir") ?? "",
    ports: [...(config?.table("ExposedPorts").keys() ?? [])],
    volumes: [...(config?.table("Volumes").keys() ?? [])],
    labels: Object.fromEntries(config?.table("Labels") ?? []),
    stopSignal: config?.text("StopSignal") ?? null,
    healthcheck: healthcheckOf(config),
    shell: config?.texts("Shell") ?? [],
    onBuild: config?.texts("OnBuild") ?? [],
    history: top.objects("history").map((line) => ({
      createdBy: line.text("created_by") ?? "",
      comment: line.text("comment") ?? "",
      created: line.text("created"),
      empty: line.flag("empty_layer"),
    })),
    diffIds,
  };
}

function healthcheckOf(config: Fields | null): readonly string[] | null {
  const test = config?.object("Healthcheck")?.texts("Test") ?? null;
  return test === null || test.length === 0 || test[0] === "NONE" ? null : test;
}

/** The history line of each layer; null for all when the lines do not match the layers. */
export function historyOfLayers(config: ImageConfig): readonly (HistoryLine | null)[] {
  const lines = config.history.filter(({ empty }) => !empty);
  return config.diffIds.map((_, index) =>
    lines.length === config.diffIds.length ? (lines[index] ?? null) : null,
  );
}
