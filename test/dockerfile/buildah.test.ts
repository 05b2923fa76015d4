/** Images that buildah builds from a Dockerfile lead back to its lines: a history that somebody else wrote. */
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { parseDockerfile } from "../../src/dockerfile/parse.ts";
import { factsOf } from "../../src/image/facts/facts.ts";
import { placesOf, stageOf, toChecked } from "../../src/image-rules/checked-image.ts";
import { has, need, needRoot } from "../host/needs.ts";
import { readGood } from "../image/layout.ts";

const DOCKERFILE = `# escape=\\
ARG DIR=/out
FROM scratch AS base
COPY busybox /bin/sh
COPY busybox /bin/mkdir
RUN mkdir -p /a && \\
    # a comment
    mkdir /b
FROM base
ARG WHO
ENV A=x B="y z" \\
    C=$WHO
LABEL "org.example.who"=$WHO
RUN mkdir /c /c/$WHO
WORKDIR /w
COPY busybox \${A}/d/
USER 5:5
EXPOSE 80 443/tcp
ENTRYPOINT ["/bin/sh"]
CMD -c true
`;

test.for<readonly [string, readonly string[], readonly string[]]>([
  ["a layer for each step", ["--layers"], ["4", "5", "6", "14", "16"]],
  ["a layer for each stage", ["--layers=false"], ["0", "0"]],
])("with %s", { timeout: 60_000 }, async ([, flags, layers], context) => {
  needRoot(context);
  need(context, has("/usr/bin/buildah") && has("/bin/busybox"), "buildah or busybox-static is not installed");
  const work = mkdtempSync(join(tmpdir(), "sandbox-buildah-"));
  onTestFinished(() => rmSync(work, { recursive: true, force: true }));
  copyFileSync("/bin/busybox", join(work, "busybox"));
  writeFileSync(join(work, "Dockerfile"), DOCKERFILE);
  const store = ["--storage-driver", "vfs", "--root", join(work, "store"), "--runroot", join(work, "run")];
  const build = [
    "bud",
    "--isolation",
    "chroot",
    ...flags,
    "--build-arg",
    "WHO=me",
    "-t",
    `oci:${join(work, "image")}:v1`,
  ];
  execFileSync("buildah", [...store, ...build, "."], { cwd: work, stdio: ["ignore", "ignore", "pipe"] });
  const parsed = parseDockerfile(Buffer.from(DOCKERFILE), "Dockerfile");
  if (!parsed.ok) throw new Error("the Dockerfile is not understood");
  const from = { dockerfile: parsed.value, stage: stageOf(parsed.value, null) ?? 0 };
  const image = toChecked(await factsOf(await readGood(join(work, "image"))), from, "2026-01-01");
  const linesOf = image.layers.map((_, layer) => String(placesOf(image, { layer })[0]?.line));
  expect(image.build.traced).toEqual({ of: 13, found: 13 });
  expect(linesOf).toEqual(layers);
  expect(placesOf(image, { keyword: "USER" })[0]?.line).toBe(17);
});
