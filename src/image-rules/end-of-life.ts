/**
 * When distributions stop to get security updates that everybody gets (for Debian: long-term support). Kept by hand, from what the distributions
 * say themselves. A release that is not here has no date, which is not the same as being supported; nor is a date of long ago.
 */
import { isDay } from "../gate/waivers.ts";

/** The day as of which the table holds: what was announced later is not in it. */
export const TABLE_DAY = "2025-12-31";

interface Releases {
  /** Where the days are from. */
  readonly source: string;
  /** Release, or the leading parts of its number → last day, YYYY-MM-DD. */
  readonly ends: Readonly<Record<string, string>>;
}

/** By ID of os-release(5). */
export const DISTRIBUTIONS: Readonly<Record<string, Releases>> = {
  debian: {
    source: "https://wiki.debian.org/LTS",
    ends: {
      "6": "2016-02-29",
      "7": "2018-05-31",
      "8": "2020-06-30",
      "9": "2022-06-30",
      "10": "2024-06-30",
      "11": "2026-08-31",
      "12": "2028-06-30",
      "13": "2030-06-30",
    },
  },
  ubuntu: {
    source: "https://ubuntu.com/about/release-cycle",
    ends: {
      "12.04": "2017-04-28",
      "14.04": "2019-04-30",
      "16.04": "2021-04-30",
      "18.04": "2023-05-31",
      "18.10": "2019-07-18",
      "19.04": "2020-01-23",
      "19.10": "2020-07-17",
      "20.04": "2025-05-31",
      "20.10": "2021-07-22",
      "21.04": "2022-01-20",
      "21.10": "2022-07-14",
      "22.04": "2027-06-30",
      "22.10": "2023-07-20",
      "23.04": "2024-01-25",
      "23.10": "2024-07-11",
      "24.04": "2029-06-30",
      "24.10": "2025-07-10",
      "25.04": "2026-01-15",
      "25.10": "2026-07-31",
    },
  },
  alpine: {
    source: "https://alpinelinux.org/releases/",
    ends: {
      "3.9": "2020-11-01",
      "3.10": "2021-05-01",
      "3.11": "2021-11-01",
      "3.12": "2022-05-01",
      "3.13": "2022-11-01",
      "3.14": "2023-05-01",
      "3.15": "2023-11-01",
      "3.16": "2024-05-23",
      "3.17": "2024-11-22",
      "3.18": "2025-05-09",
      "3.19": "2025-11-01",
      "3.20": "2026-04-01",
      "3.21": "2026-11-01",
      "3.22": "2027-05-01",
      "3.23": "2027-11-01",
    },
  },
  centos: {
    source: "https://www.centos.org/centos-linux-eol/",
    ends: { "6": "2020-11-30", "7": "2024-06-30", "8": "2024-05-31", "9": "2027-05-31" },
  },
  ol: {
    source: "https://www.oracle.com/a/ocom/docs/elsp-lifetime-069338.pdf",
    ends: { "6": "2021-03-31", "7": "2024-12-31", "8": "2029-07-31", "9": "2032-06-30" },
  },
  mariner: {
    source: "https://learn.microsoft.com/en-us/azure/azure-linux/support-cycle",
    ends: { "1.0": "2023-07-31", "2.0": "2025-07-31" },
  },
  rhel: {
    source: "https://access.redhat.com/support/policy/updates/errata",
    ends: { "6": "2020-11-30", "7": "2024-06-30", "8": "2029-05-31", "9": "2032-05-31", "10": "2035-05-31" },
  },
  rocky: {
    source: "https://wiki.rockylinux.org/rocky/version/",
    ends: { "8": "2029-05-31", "9": "2032-05-31", "10": "2035-05-31" },
  },
  almalinux: {
    source: "https://wiki.almalinux.org/release-notes/",
    ends: { "8": "2029-05-31", "9": "2032-05-31", "10": "2035-05-31" },
  },
  fedora: {
    source: "https://docs.fedoraproject.org/en-US/releases/eol/",
    ends: {
      "37": "2023-12-05",
      "38": "2024-05-21",
      "39": "2024-11-26",
      "40": "2025-05-13",
      "41": "2025-12-15",
      "42": "2026-05-13",
    },
  },
  amzn: {
    source: "https://docs.aws.amazon.com/linux/al2023/ug/release-cadence.html",
    ends: { "2018.03": "2023-12-31", "2": "2026-06-30", "2023": "2029-06-30" },
  },
  "opensuse-leap": {
    source: "https://en.opensuse.org/Lifetime",
    ends: {
      "42": "2019-07-01",
      "15.3": "2022-12-31",
      "15.4": "2023-12-07",
      "15.5": "2024-12-31",
      "15.6": "2026-04-30",
    },
  },
};

export interface EndOfLife {
  readonly day: string;
  /** False: the release is older than any whose day is known, and ended no later than that one. */
  readonly exact: boolean;
}

/** Those that have no releases: what is updated is the newest there is. */
const ROLLING = new Set([
  "arch",
  "chainguard",
  "gentoo",
  "nixos-unstable",
  "opensuse-tumbleweed",
  "void",
  "wolfi",
]);

export const isRolling = (id: string): boolean => ROLLING.has(id);

/** How a policy writes a day that the table does not have, or has otherwise: `debian 12=2028-06-30`. */
export const OWN_DAY = {
  expected: "an ID and a VERSION_ID of os-release(5) and a day, such as debian 12=2028-06-30",
  fits: (text: string): boolean => {
    const [, day = ""] = /^[a-z0-9._-]+ [^ =]+=(.+)$/.exec(text) ?? [];
    return isDay(day);
  },
};

/**
 * The last day of a release, by its whole version or the leading parts of it; null when it is not known. `own`: days in the form of OWN_DAY, which
 * decide before the table does.
 */
export function endOfLife(id: string, version: string, own: readonly string[] = []): EndOfLife | null {
  const table = Object.hasOwn(DISTRIBUTIONS, id) ? DISTRIBUTIONS[id]?.ends : undefined;
  const written = own.flatMap((text) => {
    const [name = "", day = ""] = text.split("=");
    return name.startsWith(`${id} `) ? [[name.slice(id.length + 1), day] as const] : [];
  });
  const releases: Readonly<Record<string, string>> = Object.fromEntries([
    ...Object.entries(table ?? {}),
    ...written,
  ]);
  const parts = version.split(".");
  for (let length = parts.length; length > 0; length--) {
    const release = parts.slice(0, length).join(".");
    const day = Object.hasOwn(releases, release) ? releases[release] : undefined;
    if (day !== undefined) return { day, exact: true };
  }
  const [oldest] = Object.keys(releases).toSorted(compareVersions);
  if (oldest === undefined || !/^\d/.test(version) || compareVersions(version, oldest) > 0) return null;
  return { day: releases[oldest] ?? "", exact: false };
}

/** Whole months from one day to another, both YYYY-MM-DD; negative when the second is earlier. */
export function monthsBetween(from: string, to: string): number {
  const [year = 0, month = 0, day = 0] = from.split("-").map(Number);
  const [toYear = 0, toMonth = 0, toDay = 0] = to.split("-").map(Number);
  return (toYear - year) * 12 + toMonth - month - (toDay < day ? 1 : 0);
}

/** By their numbers, part for part. */
function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((text) => text.split(".").map((part) => Number.parseInt(part, 10) || 0));
  for (let at = 0; at < Math.max(left?.length ?? 0, right?.length ?? 0); at++) {
    const difference = (left?.[at] ?? 0) - (right?.[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
