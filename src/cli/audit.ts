/**
 * sandbox audit: read, check, follow and sign the audit log.
 */
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { Command } from "commander";
import { ProfileError } from "../problems.ts";
import { colorFor } from "./color.ts";
import { addExamples } from "./examples.ts";
import { toJson } from "./json.ts";
import { complain, print } from "./output.ts";
import { flagProblem, outputFile, refuse } from "./sandbox-options.ts";

export function auditCommand(finish: (status: number) => void): Command {
  const command = new Command("audit")
    .summary("read, check and follow the audit log")
    .description("Reads the audit log. Without FILE: the log that run writes to by default.");

  const show = new Command("show")
    .summary("print the runs in the log")
    .description(
      "Prints the runs in the log, one after the other, each with its records. Changed and torn lines are named.",
    )
    .argument("[FILE]", "the log")
    .option("--run <ID>", "only this run")
    .option("--failed", "only runs that did not end well")
    .option("--json", "the records as they stand in the log")
    .action(async (file?: string) => {
      const flags = show.opts<ShowFlags>();
      const { defaultAuditFile, showLog } = await import("../index.ts");
      const color = colorFor(1);
      for await (const text of showLog(file ?? defaultAuditFile(), { ...flags, color })) print(text);
      finish(0);
    });

  const tail = new Command("tail")
    .summary("follow the log")
    .description("Prints the last records and then every new one, until it is interrupted.")
    .argument("[FILE]", "the log")
    .option("-n, --lines <NUMBER>", "how many records to begin with", "10")
    .option("--no-follow", "end after those")
    .option("--json", "the records as they stand in the log")
    .action(async (file?: string) => {
      await tailFile(file, tail.opts<TailFlags>());
      finish(0);
    });

  const verify = new Command("verify")
    .summary("check that no record was changed, removed or reordered")
    .description(
      "Checks the hash chain of the log and names the first bad line. The chain alone proves nothing against who can rewrite the whole " +
        "file: for that, compare with a head that was exported and signed. Ends with 0 if the log is sound, else with 1.",
    )
    .argument("[FILE]", "the log")
    .option("--head <FILE>", "the log must contain this exported head")
    .option("--key <FILE>", "public key (PEM): the head and every signature in the log must be its owner's")
    .option("--json", "print the result as JSON")
    .option("-q, --quiet", "say nothing about a log that is sound")
    .action(async (file?: string) => {
      finish(await verifyFile(file, verify.opts<VerifyFlags>()));
    });

  const head = new Command("head")
    .summary("export the head of the chain, signed")
    .description("Prints the head of the chain as JSON, to be kept where the log's writers cannot reach it.")
    .argument("[FILE]", "the log")
    .option("--sign <KEYFILE>", "sign it with this Ed25519 private key (PEM)")
    .option("-o, --output <FILE>", "write it to this file instead of stdout")
    .action(async (file?: string) => {
      await exportFile(file, head.opts<HeadFlags>());
      finish(0);
    });

  command.addCommand(
    addExamples(
      show,
      ["sandbox audit show --failed", "the runs that did not end well"],
      ["sandbox audit show --json audit.jsonl", "every record of a log as JSON lines"],
    ),
  );
  command.addCommand(addExamples(tail, ["sandbox audit tail", "watch what is run"]));
  command.addCommand(
    addExamples(
      verify,
      ["sandbox audit verify", "check the default log"],
      [
        "sandbox audit verify --head head.json --key public.pem audit.jsonl",
        "check it against a signed head",
      ],
    ),
  );
  command.addCommand(
    addExamples(head, [
      "sandbox audit head --sign key.pem -o head.json",
      "with a key of: openssl genpkey -algorithm ed25519 -out key.pem",
    ]),
  );
  return addExamples(command, ["sandbox audit verify", "check the default log"]);
}

interface ShowFlags {
  readonly run?: string;
  readonly failed?: true;
  readonly json?: true;
}

interface TailFlags {
  readonly lines: string;
  readonly follow: boolean;
  readonly json?: true;
}

async function tailFile(file: string | undefined, { lines, follow, json }: TailFlags): Promise<void> {
  if (!/^[0-9]{1,6}$/.test(lines)) {
    refuse([
      flagProblem(
        "--lines",
        `${JSON.stringify(lines)} is not a number of records`,
        "a number from 0 to 999999",
      ),
    ]);
  }
  const { defaultAuditFile, renderFault, renderRecord, tailLog } = await import("../index.ts");
  const color = colorFor(1);
  for await (const event of tailLog(file ?? defaultAuditFile(), { last: Number(lines), follow })) {
    if (event.kind === "notice") complain(`sandbox: ${event.text}`);
    else if (event.shown.text === null) complain(`sandbox: ${renderFault(event.shown)}`);
    else print(json ? event.shown.text : renderRecord(event.shown.record, color));
  }
}

interface VerifyFlags {
  readonly head?: string;
  readonly key?: string;
  readonly json?: true;
  readonly quiet?: true;
}

async function verifyFile(file: string | undefined, flags: VerifyFlags): Promise<number> {
  const { defaultAuditFile, parseHead, verifyLog } = await import("../index.ts");
  const path = file ?? defaultAuditFile();
  const head = flags.head === undefined ? undefined : parseHead(await readFile(flags.head, "utf8"));
  if (head === null)
    refuse([flagProblem("--head", `${flags.head} is not an exported head`, "a file of sandbox audit head")]);
  const publicKey = flags.key === undefined ? undefined : await readFile(flags.key, "utf8");
  const found = await verifyLog(path, { head: head ?? undefined, publicKey });
  if (flags.json) print(toJson(found));
  else if (found.firstBad !== null) {
    complain(`${path}:${found.firstBad.line}: ${found.firstBad.reason}: ${found.firstBad.detail}`);
  } else if (!flags.quiet) {
    print(`${path}: ${found.records} records, sound; head ${found.head.seq} ${found.head.hash}`);
  }
  return found.ok ? 0 : 1;
}

interface HeadFlags {
  readonly sign?: string;
  readonly output?: string;
}

async function exportFile(file: string | undefined, flags: HeadFlags): Promise<void> {
  const { defaultAuditFile, exportHead, signHead } = await import("../index.ts");
  const problems: Parameters<typeof outputFile>[2] = [];
  const target = flags.output === undefined ? null : outputFile("--output", flags.output, problems);
  refuse(problems);
  const exported = await exportHead(resolve(file ?? defaultAuditFile()));
  if (!exported.ok) throw new ProfileError(exported.problems);
  const head =
    flags.sign === undefined ? exported.value : signHead(exported.value, await readFile(flags.sign, "utf8"));
  const text = `${toJson(head)}\n`;
  if (target === null) print(text);
  else await (await import("./write-file.ts")).writeWhole(target, text, 0o644, "write");
}
