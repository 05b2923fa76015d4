/** Images are found in every form they are stored in, and what does not match its digests is not read. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { factsOf } from "../../src/image/facts/facts.ts";
import {
  type Blob,
  configOf,
  descriptorOf,
  dockerArchive,
  gzipped,
  layout,
  layoutOf,
  listing,
  manifestBlobs,
  onDisk,
  readGood,
  refusalOf,
  scratch,
  sha256,
  writeLayout,
} from "./layout.ts";
import { directory, file, type Member, member, symlink, tar } from "./tar-writer.ts";

const LAYER = tar(directory("etc/"), file("etc/motd", "hello\n"));
const SECOND = tar(file("srv/app", "#!/bin/sh\n"));
const SPEC = {
  layers: [
    { tar: LAYER, createdBy: "FROM scratch" },
    { tar: SECOND, createdBy: "COPY app" },
  ],
};
const LISTED = ["etc/", "etc/motd 6", "srv/", "srv/app 10"];

const archiveOf = (path: string): Buffer => {
  const blobs = readdirSync(join(path, "blobs/sha256")).map((name) => `blobs/sha256/${name}`);
  return tar(
    ...["oci-layout", "index.json", ...blobs].map((name) => file(name, readFileSync(join(path, name)))),
  );
};

describe("an image is read from", () => {
  test("an OCI layout directory", async () => {
    const image = await readGood(layout(SPEC));
    expect(image.kind).toBe("oci-layout");
    expect(listing(image)).toEqual(LISTED);
    expect(image.layers.map(({ createdBy }) => createdBy)).toEqual(["FROM scratch", "COPY app"]);
    expect(image.tree.get("srv/app")?.inode.layer).toBe(1);
  });

  test("an OCI archive, compressed or not", async () => {
    const archive = archiveOf(layout(SPEC));
    for (const bytes of [archive, gzipSync(archive)]) {
      const image = await readGood(onDisk(bytes));
      expect(image.kind).toBe("oci-archive");
      expect(listing(image)).toEqual(LISTED);
    }
  });

  test("a docker-archive, compressed or not", async () => {
    const archive = dockerArchive(SPEC);
    for (const bytes of [archive, gzipSync(archive)]) {
      const image = await readGood(onDisk(bytes));
      expect([image.kind, image.source?.names]).toEqual(["docker-archive", ["app:1"]]);
      expect(listing(image)).toEqual(LISTED);
    }
  });

  test("a docker-archive whose equal layers are links to each other", async () => {
    const config = configOf({ layers: [{ tar: SECOND }, { tar: SECOND }] });
    const manifest = JSON.stringify([{ Config: "config.json", Layers: ["a/layer.tar", "b/layer.tar"] }]);
    const archive = tar(
      file("a/layer.tar", SECOND),
      symlink("b/layer.tar", "../a/layer.tar"),
      file("config.json", config),
      file("manifest.json", manifest),
    );
    expect(listing(await readGood(onDisk(archive)))).toEqual(["srv/", "srv/app 10"]);
  });

  test("what docker export writes, compressed or not; names of whiteouts are names there", async () => {
    const exported = tar(file("./etc/.wh.motd", "x"), file("/bin/x", "y"));
    for (const bytes of [exported, gzipSync(exported)]) {
      const image = await readGood(onDisk(bytes));
      expect(image.kind).toBe("rootfs-archive");
      expect(listing(image)).toEqual(["bin/", "bin/x 1", "etc/", "etc/.wh.motd 1"]);
    }
  });

  test("a docker-archive that is an OCI archive too, if both are about the same image", async () => {
    const saved = (spec: typeof SPEC): Buffer => {
      const blobs = manifestBlobs(spec);
      const name = (one: Blob | undefined): string => `blobs/sha256/${one?.digest.slice(7)}`;
      return tar(
        file("oci-layout", '{"imageLayoutVersion":"1.0.0"}'),
        file("index.json", JSON.stringify({ manifests: [descriptorOf(manifestBlobs(SPEC)[0])] })),
        ...[...manifestBlobs(SPEC), ...blobs]
          .filter((one, index, all) => all.findIndex(({ digest }) => digest === one.digest) === index)
          .map((one) => file(name(one), one.bytes)),
        file("manifest.json", JSON.stringify([{ Config: name(blobs[1]), Layers: blobs.slice(2).map(name) }])),
      );
    };
    expect(listing(await readGood(onDisk(saved(SPEC))))).toEqual(LISTED);
    const other = { layers: [{ tar: SECOND, createdBy: "RUN evil" }] };
    expect(await refusalOf(onDisk(saved(other)))).toMatch(
      /^image-hostile: manifest.json and index.json are about different images/,
    );
  });

  test("a docker-archive that is an OCI archive too is not believed for the names of its files", async () => {
    const [manifest, config, ...layers] = manifestBlobs(SPEC);
    const evil = { layers: [{ tar: SECOND, createdBy: "RUN evil" }] };
    const name = (one: Blob | undefined): string => `blobs/sha256/${one?.digest.slice(7)}`;
    const saved = (...images: readonly (readonly [string, readonly string[]])[]): string =>
      onDisk(
        tar(
          file("oci-layout", '{"imageLayoutVersion":"1.0.0"}'),
          file("index.json", JSON.stringify({ manifests: [descriptorOf(manifest)] })),
          ...[manifest, config, ...layers].map((one) => file(name(one as Blob), (one as Blob).bytes)),
          file(`${config?.digest.slice(7)}/evil.json`, configOf(evil)),
          file("evil.json", configOf({ ...evil, top: { architecture: "arm64" } })),
          file("evil.tar", SECOND),
          file(
            "manifest.json",
            JSON.stringify(images.map(([Config, RepoTags]) => ({ Config, RepoTags, Layers: ["evil.tar"] }))),
          ),
        ),
      );
    const good = [name(config), ["app:1"]] as const;
    const disguised = [`${config?.digest.slice(7)}/evil.json`, ["app:1"]] as const;
    expect(await refusalOf(saved(disguised))).toMatch(/^image-hostile: .* different images/);
    expect(await refusalOf(saved(good, disguised))).toMatch(/^image-hostile: .* different images/);
    expect(await refusalOf(saved(good))).toBe("read");
    expect(await refusalOf(saved(good, ["evil.json", ["app:1"]]))).toBe("read");
  });

  test("an archive that hides its documents from one reader and shows them to the other", async () => {
    const archive = dockerArchive(SPEC);
    for (const [hidden, reason] of [
      // Go takes what follows a directory's header for the next header, whatever size it has.
      [member({ name: "d/", type: "5", body: tar(file("manifest.json", "[]")) }), /no file and has data/],
      [member({ name: "d/", type: "\0", body: tar(file("manifest.json", "[]")) }), /no file and has data/],
      [
        Buffer.concat([
          member(file("p", "", { pax: [["path", "decoy"]] })).subarray(0, 1024),
          member({ name: "g", type: "g" }),
          member(file("manifest.json", "[]")),
        ]),
        /global PAX header stands between/,
      ],
      [member(file("manifest.json", "[]", { pax: [["GNU.sparse.name", "decoy"]] })), /sparse in a way/],
    ] as const)
      expect(await refusalOf(onDisk(Buffer.concat([hidden, archive])))).toMatch(reason);
  });

  test("layers whose media type lies about their compression", async () => {
    const lying = { ...gzipped(LAYER), mediaType: "application/vnd.oci.image.layer.v1.tar+zstd" };
    const image = await readGood(layout({ layers: [lying, { tar: SECOND, mediaType: "text/plain" }] }));
    expect(listing(image)).toEqual(LISTED);
    expect(image.layers.map(({ compression }) => compression)).toEqual(["gzip", "none"]);
  });

  test("gzip of several members", async () => {
    const parts = [gzipSync(LAYER.subarray(0, 700)), gzipSync(LAYER.subarray(700))];
    const image = await readGood(layout({ layers: [{ tar: LAYER, stored: Buffer.concat(parts) }] }));
    expect(listing(image)).toEqual(["etc/", "etc/motd 6"]);
  });
});

describe("of several images", () => {
  const arm = { layers: [{ tar: SECOND }], top: { architecture: "arm64" } };
  const both = (nested: boolean): string => {
    const [amd, ...amdBlobs] = manifestBlobs(SPEC);
    const [arm64, ...armBlobs] = manifestBlobs(arm);
    const manifests = [
      descriptorOf(amd, { platform: { os: "linux", architecture: "amd64" } }),
      descriptorOf(arm64, { platform: { os: "linux", architecture: "arm64", variant: "v8" } }),
      descriptorOf(arm64, {
        platform: { os: "unknown", architecture: "unknown" },
        annotations: { "vnd.docker.reference.type": "attestation-manifest" },
      }),
    ];
    const blobs = [amd, ...amdBlobs, arm64, ...armBlobs];
    if (!nested) return writeLayout(scratch(), manifests, blobs);
    const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests }));
    const index = { digest: sha256(bytes), bytes };
    return writeLayout(scratch(), [descriptorOf(index)], [...blobs, index]);
  };

  test.for([false, true])("the platform chooses one, nested index: %s", async (nested) => {
    const path = both(nested);
    expect(listing(await readGood(path, { platform: "linux/arm64" }))).toEqual(["srv/", "srv/app 10"]);
    expect(listing(await readGood(path, { platform: "linux/arm64/v8" }))).toEqual(["srv/", "srv/app 10"]);
    expect(listing(await readGood(path, { platform: "linux/amd64" }))).toEqual(LISTED);
    expect(await refusalOf(path, { platform: "linux/s390x" })).toBe(
      "image-unsupported: it has no image for linux/s390x",
    );
  });

  test("a platform that the only image is not for is refused", async () => {
    expect(await refusalOf(layout(SPEC), { platform: "linux/arm64" })).toBe(
      "image-unsupported: it has no image for linux/arm64",
    );
  });

  test("the tag chooses one, and without it nothing is guessed", async () => {
    const ref = (name: string) => ({ annotations: { "org.opencontainers.image.ref.name": name } });
    const one = manifestBlobs(SPEC);
    const two = manifestBlobs(arm);
    const path = writeLayout(
      scratch(),
      [descriptorOf(one[0], ref("v1")), descriptorOf(two[0], ref("v2"))],
      [...one, ...two],
    );
    expect(listing(await readGood(path, { tag: "v1" }))).toEqual(LISTED);
    expect(await refusalOf(path)).toBe("image-unsupported: it holds several images");
    expect(await refusalOf(path, { tag: "v3" })).toBe("image-unsupported: it has no image with the tag v3");
  });
});

const tarWithoutEnd = (...members: readonly Member[]): Buffer => tar(...members).subarray(0, -1024);

describe("what does not match is refused:", () => {
  const change = (path: string, digest: string, edit: (bytes: Buffer) => Buffer): void => {
    const name = join(path, "blobs/sha256", digest.slice(7));
    writeFileSync(name, edit(readFileSync(name)));
  };
  const flip = (bytes: Buffer): Buffer => {
    const copy = Buffer.from(bytes);
    copy[copy.length >> 1] = (copy[copy.length >> 1] ?? 0) ^ 1;
    return copy;
  };

  test.for([0, 1, 2, 3])("a bit of blob %i of manifest, configuration, layers", async (index) => {
    const path = layout(SPEC);
    change(path, manifestBlobs(SPEC)[index]?.digest ?? "", flip);
    expect(await refusalOf(path)).toMatch(/^image-digest: /);
  });

  test("a bit of a compressed layer", async () => {
    const spec = { layers: [gzipped(LAYER)] };
    const path = layout(spec);
    change(path, manifestBlobs(spec)[2]?.digest ?? "", flip);
    expect(await refusalOf(path)).toMatch(/^image-digest: the stored layer/);
  });

  test("a layer that is longer than its descriptor says", async () => {
    const path = layout(SPEC);
    change(path, manifestBlobs(SPEC)[2]?.digest ?? "", (bytes) => Buffer.concat([bytes, Buffer.alloc(512)]));
    expect(await refusalOf(path)).toMatch(/^image-digest: /);
  });

  test("a layer that unpacks to something other than the configuration promises", async () => {
    expect(await refusalOf(layout({ layers: [{ tar: LAYER, stored: gzipSync(SECOND) }] }))).toMatch(
      /^image-digest: the unpacked layer/,
    );
    const archive = dockerArchive({ layers: [{ tar: LAYER, stored: SECOND }] });
    expect(await refusalOf(onDisk(archive))).toMatch(/^image-digest: the unpacked layer/);
  });

  test.for<[string, Buffer, RegExp]>([
    ["xz", Buffer.from("fd377a585a000000", "hex"), /^image-unsupported: it is compressed with xz/],
    ["bzip2", Buffer.from("BZh91AY&SY"), /^image-unsupported: it is compressed with bzip2/],
    ["text", Buffer.from("this is no tar file"), /^image-digest: the unpacked layer/],
    ["cut gzip", gzipSync(LAYER).subarray(0, 60), /^image-malformed: its gzip data is damaged/],
    ["gzip with a tail", Buffer.concat([gzipSync(LAYER), Buffer.from("tail")]), /^image-malformed: its gzip/],
    [
      "gzip with zeros",
      Buffer.concat([gzipSync(LAYER), Buffer.alloc(9)]),
      /^image-hostile: bytes follow its gzip/,
    ],
  ])("a layer of %s", async ([, stored, reason]) => {
    expect(await refusalOf(layout({ layers: [{ tar: LAYER, stored }] }))).toMatch(reason);
  });

  test("a missing layer, an encrypted one, one that is kept elsewhere", async () => {
    const [manifest, config] = manifestBlobs(SPEC);
    expect(
      await refusalOf(writeLayout(scratch(), [descriptorOf(manifest)], [manifest, config as Blob])),
    ).toMatch(/^image-malformed: layer 1 is missing/);
    const encrypted = { tar: LAYER, mediaType: "application/vnd.oci.image.layer.v1.tar+gzip+encrypted" };
    expect(await refusalOf(layout({ layers: [encrypted] }))).toBe("image-unsupported: layer 1 is encrypted");
    const foreign = manifestBlobs({
      layers: [{ tar: LAYER, mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" }],
    });
    expect(await refusalOf(writeLayout(scratch(), [descriptorOf(foreign[0])], foreign.slice(0, 2)))).toMatch(
      /^image-unsupported: layer 1 is kept elsewhere/,
    );
  });

  test("documents that two readers would read differently", async () => {
    const withTop = (top: Record<string, unknown>): string => layout({ layers: [{ tar: LAYER }], top });
    expect(await refusalOf(withTop({ Config: { User: "root" } }))).toMatch(
      /^image-hostile: the image configuration has the field Config twice, in different case/,
    );
    expect(
      await refusalOf(layout({ layers: [{ tar: LAYER }], config: { User: "1000", "u\u017Fer": "root" } })),
    ).toMatch(/^image-hostile: /);
    const both = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [], layers: [], config: {} }));
    const blob = { digest: sha256(both), bytes: both };
    expect(await refusalOf(writeLayout(scratch(), [descriptorOf(blob)], [blob]))).toMatch(
      /^image-hostile: a document is manifest and index at once/,
    );
  });

  test("a field that is written as Go accepts it, in other case, is still read", async () => {
    const image = await readGood(layout({ layers: [{ tar: LAYER }], config: { user: "root" } }));
    expect(image.source?.config?.user).toBe("root");
  });

  test("indexes in indexes without end, artifacts, wrong layer counts", async () => {
    const [manifest0, ...rest0] = manifestBlobs(SPEC);
    let inner: Blob = manifest0;
    let blobs: readonly Blob[] = rest0;
    for (let depth = 0; depth < 6; depth++) {
      const bytes: Buffer = Buffer.from(JSON.stringify({ manifests: [descriptorOf(inner)], depth }));
      blobs = [...blobs, inner];
      inner = { digest: sha256(bytes), bytes };
    }
    expect(await refusalOf(writeLayout(scratch(), [descriptorOf(inner)], [...blobs, inner]))).toMatch(
      /^image-hostile: indexes are nested/,
    );
    expect(
      await refusalOf(
        layout({ layers: [{ tar: LAYER }], top: { rootfs: { type: "layers", diff_ids: [] } } }),
      ),
    ).toBe("image-malformed: the manifest has 1 layers and the configuration 0");
    const config = Buffer.from("{}");
    const manifest = Buffer.from(
      JSON.stringify({
        config: { mediaType: "application/vnd.cncf.helm.config.v1+json", digest: sha256(config), size: 2 },
        layers: [],
      }),
    );
    const artifact = { digest: sha256(manifest), bytes: manifest };
    expect(await refusalOf(writeLayout(scratch(), [descriptorOf(artifact)], [artifact]))).toMatch(
      /^image-unsupported: it is an artifact/,
    );
  });

  test("an archive in which a document is there twice", async () => {
    const archive = dockerArchive(SPEC);
    const twice = Buffer.concat([tar(file("manifest.json", "[]")).subarray(0, 1024), archive]);
    expect(await refusalOf(onDisk(twice))).toMatch(/^image-hostile: manifest.json is in the archive twice/);
  });

  test("an archive whose documents lie behind thousands of other files is an image, and not a root file system", async () => {
    const junk = Array.from({ length: 4100 }, (_, index) => file(`junk-${index}`));
    const bytes = Buffer.concat([tarWithoutEnd(...junk), dockerArchive({ layers: [{ tar: LAYER }] })]);
    expect(await refusalOf(onDisk(bytes))).toMatch(/^image-malformed: there is no file [0-9a-f]{64}\.json/);
  });

  test("a compressed archive of many layers is not unpacked for each of them without end", async () => {
    const layers = Array.from({ length: 30 }, (_, index) => ({
      tar: tar(file(`f${index}`, "x".repeat(50_000))),
    }));
    const path = onDisk(gzipSync(dockerArchive({ layers })));
    expect(await refusalOf(path, { limits: { unpacked: 2 ** 21 } })).toMatch(
      /^image-limit: the image unpacks to more/,
    );
    expect(await refusalOf(path, { limits: { unpacked: 2 ** 24 } })).toBe("read");
  });

  test("a path that is not there, and a fifo", async () => {
    expect(await refusalOf("/nonexistent/image")).toBe("image-not-found: there is no such file or directory");
    expect(await refusalOf("/dev/null")).toMatch(/^image-not-found: it is neither/);
  });

  test("a problem opens with the image and the layer, and hides nothing in control characters", async () => {
    const problem = await refusalOf(layoutOf(LAYER, tar(file("../\u001B[2J", "x"))));
    expect(problem).toBe("image-hostile: the name ../\\x1b[2J leads out of its directory");
  });
});

test("what is kept within a limit is that of the lower layers, however large they are", async () => {
  const text = "x".repeat(4000);
  const large = file("large", "y".repeat(2 ** 23));
  const path = layoutOf(tar(large, file("var/lib/dpkg/status", text)), tar(file("etc/passwd", text)));
  for (let times = 0; times < 3; times++) {
    const { gaps } = await factsOf(await readGood(path, { limits: { kept: 6000 } }));
    expect(gaps.map((gap) => gap.path)).toEqual(["etc/passwd"]);
  }
});
