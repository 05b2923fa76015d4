/**
 * Images as a library: read one safely, get the facts about it. Re-exports only.
 *
 *     import { inspectImage } from "sandbox-runner/image";
 *     const facts = await inspectImage({ path: "app.tar", platform: null, tag: null });
 */
export { type BaseFacts, type GivenBase, readBase } from "./base.ts";
export { type Change, type Comparison, compareImages } from "./diff/compare.ts";
export { type Exposure, exposuresOf } from "./diff/exposures.ts";
export { type ImageFacts } from "./facts/facts.ts";
export { inspectImage } from "./inspect.ts";
export { DEFAULT_LIMITS, type Limits } from "./limits.ts";
export { printable } from "./names.ts";
export { type Image, type ImageRequest, readImage } from "./read-image.ts";
export { toCycloneDx } from "./sbom/cyclonedx.ts";
export { toSpdx } from "./sbom/spdx.ts";
