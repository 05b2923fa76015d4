/** Where rules for images point to. */
import type { Reference } from "../gate/rule.ts";

/** An item of section 4 (images and build files) of the CIS Docker Benchmark 1.6.0. */
export const cis = (item: string): Reference => ({
  title: `CIS Docker Benchmark 1.6.0, ${item}`,
  url: "https://www.cisecurity.org/benchmark/docker",
});
export const man = (page: string, section: number): Reference => ({
  title: `${page}(${section})`,
  url: `https://man7.org/linux/man-pages/man${section}/${page}.${section}.html`,
});
/** A checkpoint of dockle. */
export const dockle = (code: string): Reference => ({
  title: `dockle ${code}`,
  url: `https://github.com/goodwithtech/dockle/blob/master/CHECKPOINT.md#${code.toLowerCase()}`,
});
export const dockerfile = (section: string, anchor: string): Reference => ({
  title: `Dockerfile reference, ${section}`,
  url: `https://docs.docker.com/reference/dockerfile/#${anchor}`,
});
export const ociAnnotations: Reference = {
  title: "OCI image specification, annotations",
  url: "https://github.com/opencontainers/image-spec/blob/main/annotations.md",
};
