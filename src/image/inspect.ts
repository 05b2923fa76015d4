/** Path → facts: reading and looking, in one call. */
import type { Checked } from "../problems.ts";
import type { Evidence } from "./evidence.ts";
import { factsOf, type ImageFacts } from "./facts/facts.ts";
import { type ImageRequest, readImage } from "./read-image.ts";

/** Problems are of the kinds `image-*`: what cannot be read whole has no facts. */
export async function inspectImage(
  request: ImageRequest,
  evidence: Evidence | null = null,
): Promise<Checked<ImageFacts>> {
  const image = await readImage(request);
  return image.ok ? { ok: true, value: await factsOf(image.value, evidence) } : image;
}
