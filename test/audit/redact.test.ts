import { describe, expect, test } from "vitest";
import { recordDecision } from "../../src/audit/record.ts";
import { createRedactor, type Redactor } from "../../src/audit/redact.ts";
import { decision, runRecords } from "./fixture.ts";

function redactor(entries: readonly string[], environment: Record<string, string> = {}): Redactor {
  const made = createRedactor(entries, environment);
  if (!made.ok) throw new Error(made.problems[0]?.message);
  return made.value;
}

describe("redaction", () => {
  const table: readonly [string, readonly string[], readonly string[], readonly string[]][] = [
    ["nothing asked", [], ["a", "--token=x"], ["a", "--token=x"]],
    [
      "an option and its next argument",
      ["--token"],
      ["a", "--token", "s3cret", "b"],
      ["a", "--token", "[redacted]", "b"],
    ],
    [
      "an option with =",
      ["--token"],
      ["--token=s3cret=", "--tokens=x"],
      ["--token=[redacted]", "--tokens=x"],
    ],
    ["a short option", ["^-p$"], ["-p", "s3cret", "-pq"], ["-p", "[redacted]", "-pq"]],
    [
      "a pattern",
      ["ghp_[A-Za-z0-9]+"],
      ["x-ghp_abc-y", "ghp_1 ghp_2"],
      ["x-[redacted]-y", "[redacted] [redacted]"],
    ],
    ["a pattern that looks like an option", ["-ps\\w+"], ["-ps3cret", "b"], ["[redacted]", "b"]],
    ["capture groups", ["user:(\\w+)@"], ["http://user:s3cret@host"], ["http://user:[redacted]@host"]],
    ["two groups, one unused", ["a(b)|c(d)"], ["ab cd"], ["a[redacted] c[redacted]"]],
    ["everything", [".*"], ["abc", ""], ["[redacted]", ""]],
    [
      "a variable in an assignment",
      ["TOKEN"],
      ["env", "TOKEN=x", "--env=TOKEN=y\nz", "MYTOKEN=w"],
      ["env", "TOKEN=[redacted]", "--env=TOKEN=[redacted]", "MYTOKEN=w"],
    ],
    [
      "a variable's value anywhere",
      ["SECRET"],
      ["curl", "-H", "Bearer hunter22!"],
      ["curl", "-H", "Bearer [redacted]"],
    ],
  ];
  test.each(table)("%s", (_name, entries, argv, expected) => {
    expect(redactor(entries, { SECRET: "hunter22" }).argv(argv)).toEqual(
      expected.map((text) =>
        entries[0] === "SECRET" ? text.replace("Bearer [redacted]", "Bearer [redacted]!") : text,
      ),
    );
  });

  test("a short value is hidden in assignments only", () => {
    expect(redactor(["N"], { N: "1" }).argv(["N=1", "1"])).toEqual(["N=[redacted]", "1"]);
  });

  test("no field of a record shows a secret", () => {
    const secret = "hunter22-hunter22";
    const hide = redactor(["TOKEN"], { TOKEN: secret });
    const records = [
      recordDecision(
        decision("environment.TOKEN", {
          setting: `TOKEN=${secret}`,
          provenance: { kind: "flag", flag: `--env TOKEN=${secret}` },
          reason: `because of ${secret}`,
        }),
        hide,
      ),
      ...runRecords(1, hide),
    ];
    expect(JSON.stringify(records)).not.toContain(secret);
    expect(JSON.stringify(records)).toContain("TOKEN=[redacted]");
  });

  test("an entry that is no pattern is a problem, not ignored", () => {
    const made = createRedactor(["ok", "(", "["]);
    expect(made).toMatchObject({
      ok: false,
      problems: [
        { kind: "profile-value", pointer: "/audit/redact/1" },
        { kind: "profile-value", pointer: "/audit/redact/2" },
      ],
    });
  });
});
