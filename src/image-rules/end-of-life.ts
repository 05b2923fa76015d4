/**
 * When distributions stop to get security updates that everybody gets (for Debian: long-term support). From their own announcements, as of
 * November 2026; a distribution or release that is not here has no date, which is not the same as being supported.
 */

/** ID of os-release(5) → release → last day, YYYY-MM-DD. */
const ENDS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  debian: {
    "7": "2018-05-31",
    "8": "2020-06-30",
    "9": "2022-06-30",
    "10": "2024-06-30",
    "11": "2026-08-31",
    "12": "2028-06-30",
    "13": "2030-06-30",
  },
  ubuntu: {
    "14.04": "2019-04-30",
    "16.04": "2021-04-30",
    "18.04": "2023-05-31",
    "20.04": "2025-05-31",
    "22.04": "2027-06-30",
    "23.04": "2024-01-25",
    "23.10": "2024-07-11",
    "24.04": "2029-06-30",
    "24.10": "2025-07-10",
    "25.04": "2026-01-15",
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
  centos: { "6": "2020-11-30", "7": "2024-06-30", "8": "2024-05-31" },
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
  "opensuse-leap": { "15.4": "2023-12-07", "15.5": "2024-12-31", "15.6": "2026-04-30" },
};

/** The last day of a release, by its whole version or the leading parts of it; null when it is not known. */
export function endOfLife(id: string, version: string): string | null {
  const releases = (Object.hasOwn(ENDS, id) ? ENDS[id] : undefined) ?? {};
  const parts = version.split(".");
  for (let length = parts.length; length > 0; length--) {
    const release = parts.slice(0, length).join(".");
    if (Object.hasOwn(releases, release)) return releases[release] ?? null;
  }
  return null;
}
