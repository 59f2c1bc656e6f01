// The running server, the gates of its assistant `steps`, and waiting for a condition with a deadline.
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const apiUrl = required("RUNYARD_URL");
export const apiKey = required("RUNYARD_API_KEY");

const PATIENCE_MS = 20_000;
const LOOK_MS = 10;

function required(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: start this with \`make test-contract\``);
  return value;
}

/** Gates of one test: step n of `steps` waits for the file n in `directory`. All open when the test is over. */
export function closedGates(test) {
  const directory = mkdtempSync(join(tmpdir(), "gates-"));
  const open = (...numbers) => numbers.forEach((number) => writeFileSync(join(directory, String(number)), ""));
  test.after(() => open(0, 1, 2, 3));
  return { directory, open };
}

/** The first true value of `condition()`, or an error that says what was waited for. */
export async function until(what, condition) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`waited ${PATIENCE_MS / 1000} s in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
