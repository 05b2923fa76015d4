/** What a process of the audit tests does: `append FILE NAME COUNT` (FILE "": the default), `lock PATH MILLISECONDS`. */
import { readFileSync, writeFileSync, writeSync } from "node:fs";
import { withLock } from "../../src/audit/lock.ts";
import { openAudit } from "../../src/audit/log.ts";
import { AuditError } from "../../src/audit/log-error.ts";
import { recordDecision } from "../../src/audit/record.ts";
import { NO_REDACTION } from "../../src/audit/redact.ts";
import { formatProblem } from "../../src/problems.ts";

const [mode = "", path = "", ...rest] = process.argv.slice(2);

/** Append numbered records; each is acknowledged on standard output after it was appended. */
async function append(name: string, count: number): Promise<void> {
  const opened = await openAudit(path === "" ? {} : { file: path });
  if (!opened.ok) {
    writeSync(2, `${opened.problems.map(formatProblem).join("\n")}\n`);
    process.exit(3);
  }
  for (let number = 1; number <= count; number += 1) {
    const record = recordDecision(
      {
        id: `${name}.${number}`,
        control: "audit",
        setting: "x".repeat(300),
        provenance: { kind: "default" },
        status: "full",
        reason: "",
        check: null,
      },
      NO_REDACTION,
    );
    try {
      opened.value.append(name, [record]);
    } catch (error) {
      if (!(error instanceof AuditError)) throw error;
      writeSync(2, `${error.code} ${formatProblem(error.problem)}\n`);
      process.exit(4);
    }
    writeSync(1, `${name}.${number}\n`);
  }
}

/** Be alone in the lock, again and again: nobody else may touch the token while we are in there. */
function lock(milliseconds: number): void {
  const end = performance.now() + milliseconds;
  for (let number = 0; performance.now() < end; number += 1) {
    withLock(`${path}.lock`, () => {
      const token = `${process.pid}.${number}`;
      writeFileSync(path, token);
      for (let look = 0; look < 20; look += 1) {
        if (readFileSync(path, "utf8") !== token) {
          writeSync(1, "not alone\n");
          process.exit(5);
        }
      }
    });
    writeSync(1, ".");
  }
}

if (mode === "append") await append(rest[0] ?? "", Number(rest[1]));
else lock(Number(rest[0]));
