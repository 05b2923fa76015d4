/** Which of several images a platform means: `os/architecture[/variant]`, in Go's words, as OCI uses them. */
import { unsupported } from "../refusal.ts";

export interface PlatformOffer {
  readonly os: string;
  readonly architecture: string;
  readonly variant: string;
}

const GO_NAMES: Readonly<Record<string, string>> = { x64: "amd64", ia32: "386", arm64: "arm64", arm: "arm" };

export function ownPlatform(): string {
  return `linux/${GO_NAMES[process.arch] ?? process.arch}`;
}

export const formatPlatform = ({ os, architecture, variant }: PlatformOffer): string =>
  [os, architecture, variant].filter((part) => part !== "").join("/");

/** Indexes of the offers that fit, never none. `wanted` null: this machine's. */
export function choosePlatform(offers: readonly PlatformOffer[], wanted: string | null): readonly number[] {
  const text = wanted ?? ownPlatform();
  const [os, architecture, variant, ...rest] = text.split("/");
  if (os === undefined || architecture === undefined || rest.length > 0)
    throw unsupported(`${text} is not a platform`, "write it as linux/arm64 or linux/arm/v7");
  const found = offers.flatMap((offer, index) =>
    offer.os === os && offer.architecture === architecture && fits(offer, variant) ? [index] : [],
  );
  if (found.length > 0) return found;
  const there = offers.map(formatPlatform).filter((name) => name !== "" && !name.startsWith("unknown"));
  throw unsupported(
    `it has no image for ${text}`,
    `choose with --platform: ${[...new Set(there)].join(", ")}`,
  );
}

/** arm64 without a variant is v8. */
function fits(offer: PlatformOffer, variant: string | undefined): boolean {
  const own = offer.architecture === "arm64" && offer.variant === "v8" ? "" : offer.variant;
  return variant === undefined || own === (offer.architecture === "arm64" && variant === "v8" ? "" : variant);
}
