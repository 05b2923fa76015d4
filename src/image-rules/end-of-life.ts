/**
 * When distributions stop to get security updates that everybody gets (for Debian: long-term support). From their own announcements, as of
 * November 2026; a distribution or release that is not here has no date, which is not the same as being supported.
 */

/** ID of os-release(5) → release → last day, YYYY-MM-DD. */
const ENDS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  debian: {
    "6": "2016-02-29",
    "7": "2018-05-31",
    "8": "2020-06-30",
    "9": "2022-06-30",
    "10": "2024-06-30",
    "11": "2026-08-31",
    "12": "2028-06-30",
    "13": "2030-06-30",
  },
  ubuntu: {
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
  alpine: {
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
  },
  centos: { "6": "2020-11-30", "7": "2024-06-30", "8": "2024-05-31", "9": "2027-05-31" },
  ol: { "6": "2021-03-31", "7": "2024-12-31", "8": "2029-07-31", "9": "2032-06-30" },
  mariner: { "1.0": "2023-07-31", "2.0": "2025-07-31" },
  rhel: { "6": "2020-11-30", "7": "2024-06-30", "8": "2029-05-31", "9": "2032-05-31", "10": "2035-05-31" },
  rocky: { "8": "2029-05-31", "9": "2032-05-31", "10": "2035-05-31" },
  almalinux: { "8": "2029-05-31", "9": "2032-05-31", "10": "2035-05-31" },
  fedora: {
    "37": "2023-12-05",
    "38": "2024-05-21",
    "39": "2024-11-26",
    "40": "2025-05-13",
    "41": "2025-12-15",
    "42": "2026-05-13",
  },
  amzn: { "2018.03": "2023-12-31", "2": "2026-06-30", "2023": "2029-06-30" },
  "opensuse-leap": {
    "42": "2019-07-01",
    "15.3": "2022-12-31",
    "15.4": "2023-12-07",
    "15.5": "2024-12-31",
    "15.6": "2026-04-30",
  },
};

export interface EndOfLife {
  readonly day: string;
  /** False: the release is older than any whose day is known, and ended no later than that one. */
  readonly exact: boolean;
}

/** The last day of a release, by its whole version or the leading parts of it; null when it is not known. */
export function endOfLife(id: string, version: string): EndOfLife | null {
  const releases = (Object.hasOwn(ENDS, id) ? ENDS[id] : undefined) ?? {};
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

/** By their numbers, part for part. */
function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((text) => text.split(".").map((part) => Number.parseInt(part, 10) || 0));
  for (let at = 0; at < Math.max(left?.length ?? 0, right?.length ?? 0); at++) {
    const difference = (left?.[at] ?? 0) - (right?.[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
