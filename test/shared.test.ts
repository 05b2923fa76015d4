/** What several runs share is let go of once, when it was closed and nobody uses it any more. */
import { expect, test } from "vitest";
import { Shared } from "../src/shared.ts";

function counted(): { readonly shared: Shared; readonly released: () => number } {
  let count = 0;
  return { shared: new Shared(() => (count += 1)), released: () => count };
}

test("unused, it goes when it is closed, once", () => {
  const { shared, released } = counted();
  shared.close();
  shared.close();
  expect(released()).toBe(1);
});

test("used, it goes with the last user after it was closed", () => {
  const { shared, released } = counted();
  const [one, other] = [shared.use(), shared.use()];
  shared.close();
  one();
  one();
  expect(released()).toBe(0);
  other();
  expect(released()).toBe(1);
});

test("open, it stays without users", () => {
  const { shared, released } = counted();
  shared.use()();
  expect(released()).toBe(0);
  shared.use()();
  shared.close();
  expect(released()).toBe(1);
});
