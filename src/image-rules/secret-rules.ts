/** Rules about secrets, wherever in the image they are. */
import { defineRule } from "../gate/rule.ts";
import type { Secret } from "../image/facts/secrets.ts";
import { secretsOfBuild } from "./build-rules.ts";
import type { About, CheckedImage } from "./checked-image.ts";
import { ALLOW, type ImageRule, isAllowed, violation } from "./image-rule.ts";
import { cis, dockle } from "./references.ts";

function placeOfSecret({ build }: CheckedImage, { where, subject, line, layer }: Secret): About {
  if (layer !== null) return { layer };
  const keyword = where === "label" ? "LABEL" : "ENV";
  const step =
    where === "history"
      ? build.steps[line - 1]
      : build.steps.findLast((one) => one.keyword === keyword && one.text.includes(subject));
  return step === undefined ? { keyword } : { step };
}

/** A variable or label whose value is not the base's is the image's own, whatever line of the history has its name. */
function isSetAnew({ config, below }: CheckedImage, { where, subject }: Secret): boolean {
  if (below === null) return false;
  if (where === "label") return config?.labels[subject] !== below.config?.labels[subject];
  if (where !== "environment") return false;
  const of = (env: readonly string[] = []): string =>
    JSON.stringify(env.filter((one) => one.split("=", 1)[0] === subject));
  return of(config?.env) !== of(below.config?.env);
}

export const SECRET_RULES: readonly ImageRule[] = [
  defineRule<CheckedImage, typeof ALLOW>({
    id: "no-secrets",
    title: "No key, token or password is in any layer, variable, label or history line",
    rationale:
      "Whoever can pull the image has it. A later layer that deletes the file does not take it out of the layer before; the history keeps build arguments.",
    remediation:
      "Replace the secret, then build with secret mounts (RUN --mount=type=secret) or give it at run time.",
    references: [cis("4.10"), dockle("CIS-DI-0010")],
    options: ALLOW,
    check: (image, { allow }) => [
      ...secretsOfBuild(image, allow),
      ...image.secrets.flatMap((secret) => {
        const object = `${secret.kind} in ${secret.where} ${secret.subject}`;
        if (isAllowed(allow, object)) return [];
        const found = violation(image, object, `there is a secret: ${object}`, placeOfSecret(image, secret));
        return [isSetAnew(image, secret) ? { ...found, origin: "own" as const } : found];
      }),
    ],
  }),
];
