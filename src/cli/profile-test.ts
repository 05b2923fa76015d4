/** sandbox profile test: declarative tests of profiles. The work is in test-profiles.ts, loaded when it is asked for. */
import { Command, Option } from "commander";
import { addExamples } from "./examples.ts";
import { print } from "./output.ts";

export function testCommand(finish: (status: number) => void): Command {
  const command = new Command("test")
    .summary("run tests of profiles")
    .description(
      "Runs files of tests: calls, capabilities, paths and properties that a profile must allow or deny. Nothing is executed: calls are decided by the emitted filter, for every value of what a test leaves open. Ends with 0 when all pass, 1 when one fails, 2 when a file is wrong, 3 when a profile cannot be analysed.",
    )
    .argument("<FILE...>", "files of tests")
    .addOption(
      new Option("--format <FORMAT>", "form of the results").choices(["tap", "junit"]).default("tap"),
    )
    .action(async (files: readonly string[]) => {
      const { testProfiles } = await import("./test-profiles.ts");
      const { format } = command.opts<{ readonly format: "tap" | "junit" }>();
      const { text, status } = testProfiles(files, format);
      print(text);
      finish(status);
    });
  return addExamples(
    command,
    ["sandbox profile test ./strict.test.json", "as TAP"],
    ["sandbox profile test --format junit ./*.test.json", "for a CI server"],
  );
}
