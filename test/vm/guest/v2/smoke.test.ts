import { expect, it } from "vitest";
import { sandbox, USERS } from "../../../live/harness.ts";

it.each(USERS)("runs a program, as %s", async (user) => {
  const ran = await sandbox(user, ["/bin/echo", "hello"]);
  expect(ran).toMatchObject({ code: 0, stdout: "hello\n" });
});
