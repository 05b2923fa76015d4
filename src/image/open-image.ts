/**
 * Path → an image whose documents were read and verified, open as long as somebody reads its layers; or a directory that is a root file
 * system itself. Opens without waiting for a fifo; follows no network name.
 */
import { constants, existsSync } from "node:fs";
import { type FileHandle, lstat, open } from "node:fs/promises";
import { join } from "node:path";
import type { Budget } from "./budget.ts";
import { openArchive } from "./formats/archive.ts";
import { checkAgreement, readDocker, readSaved } from "./formats/docker.ts";
import { layoutDirectory } from "./formats/layout-directory.ts";
import { readLayout } from "./formats/oci.ts";
import type { Choice, ImageSource, LayerSource } from "./formats/source.ts";
import { Refusal } from "./refusal.ts";

export interface ImageName extends Choice {
  readonly path: string;
}

/** What `use` makes of the image, whose layers can be read until it has ended; null stands for a root directory. */
export async function withSource<T>(
  name: ImageName,
  budget: Budget,
  use: (source: ImageSource | null) => T | Promise<T>,
): Promise<T> {
  const { path } = name;
  if ((await lookAt(path)) === "directory") {
    const has = async (file: string): Promise<boolean> =>
      (await lstat(join(path, file)).catch(() => null))?.isFile() === true;
    if (!((await has("oci-layout")) && (await has("index.json")))) return await use(null);
    return await use(await readLayout(layoutDirectory(path), "oci-layout", name, budget));
  }
  const handle = await openImage(path);
  try {
    return await use(await openSource(handle, name, budget));
  } finally {
    await handle.close();
  }
}

async function lookAt(path: string): Promise<"directory" | "file"> {
  const handle = await openImage(path);
  try {
    const status = await handle.stat();
    if (status.isDirectory()) return "directory";
    if (status.isFile()) return "file";
  } finally {
    await handle.close();
  }
  throw new Refusal(
    "image-not-found",
    "it is neither a file nor a directory",
    "give a directory or an archive",
  );
}

async function openImage(path: string): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    throw new Refusal(
      "image-not-found",
      code === "ENOENT" ? "there is no such file or directory" : `it cannot be opened (${code})`,
      withoutWords(path) ??
        "images are read from disk, not from a registry or a daemon: skopeo copy docker://NAME oci:DIR, or docker save NAME -o FILE",
      error,
    );
  }
}

/** What to say instead of DIR:TAG and TRANSPORT:FILE:TAG, as other tools name images; null unless that is what was meant. */
function withoutWords(name: string): string | null {
  const bare = name.replace(/^(?:oci|oci-archive|docker-archive|dir):/, "");
  const [, path = "", tag = ""] = /^(.+):([^/:]+)$/.exec(bare) ?? [];
  if (bare !== name && existsSync(bare)) return `formats are recognised: give ${bare}`;
  return path !== "" && existsSync(path) ? `tags are an option: give ${path} --tag ${tag}` : null;
}

async function openSource(handle: FileHandle, name: ImageName, budget: Budget): Promise<ImageSource> {
  const { size } = await handle.stat();
  const archive = await openArchive(name.path, handle, size, budget);
  const saved = archive.has("manifest.json") ? await readSaved(archive, budget) : null;
  if (archive.has("oci-layout") && archive.has("index.json")) {
    const layout = await readLayout(archive, "oci-archive", name, budget);
    if (saved !== null) await checkAgreement(archive, saved, layout, name, budget);
    return layout;
  }
  if (saved !== null) return await readDocker(archive, saved, name, budget);
  const layer: LayerSource = { digest: null, diffId: null, size, mediaType: null, stored: archive.stored };
  return {
    kind: "rootfs-archive",
    names: [],
    manifestDigest: null,
    indexDigests: [],
    configDigest: null,
    annotations: {},
    config: null,
    layers: [layer],
  };
}
