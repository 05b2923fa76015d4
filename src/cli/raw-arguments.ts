/** Arguments that Node has changed: a command would be given others than its caller wrote, and a path would name another file. */
import { changedArguments } from "../host/given-bytes.ts";
import type { Problem } from "../problems.ts";

/** `argv`: the last arguments of this process. */
export const refuseChanged = (argv: readonly string[]): readonly Problem[] =>
  changedArguments(argv).map((index) => ({
    kind: "flag-invalid",
    where: { kind: "flag", flag: `argument ${index + 1}` },
    pointer: "",
    message: `${JSON.stringify(argv[index])} holds bytes that are not UTF-8, and they would not arrive as they are`,
    hint: "a compiled launcher passes any bytes on: sandbox compile -o FILE, then ./FILE CMD [ARG...]",
  }));
