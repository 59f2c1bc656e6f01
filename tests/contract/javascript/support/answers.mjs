// What the client gives back, in a form that can be compared.
import assert from "node:assert/strict";

/** What the parts of a stream say. */
export const shown = (parts) => parts.map(({ event, data }) => [event, data]);

/** Read to the end. */
export async function all(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

/** Read up to and including this event; the stream stays open. */
export async function upTo(stream, event, data) {
  const parts = [];
  for (;;) {
    const { value, done } = await stream.next();
    assert.equal(done, false, `the stream ended after ${JSON.stringify(shown(parts))}`);
    parts.push(value);
    if (value.event === event && JSON.stringify(value.data) === JSON.stringify(data)) return parts;
  }
}

/** The status, the code and the sentence of the error that this call ends with. */
export async function refused(promise) {
  const error = await promise.then(() => assert.fail("was not refused"), (error) => error);
  const { code, detail } = JSON.parse(error.text);
  return [error.status, code, detail];
}
