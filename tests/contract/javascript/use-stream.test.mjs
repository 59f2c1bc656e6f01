// `useStream` of @langchain/langgraph-sdk/react, unmodified, in a jsdom: what a chat page does with this server.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Client } from "@langchain/langgraph-sdk";
import { apiKey, apiUrl, closedGates, until } from "./support/server.mjs";
import { Page, sessionStorage } from "./support/page.mjs";

const client = new Client({ apiUrl, apiKey });
const statusOf = async ({ thread_id, run_id }) => (await client.runs.get(thread_id, run_id)).status;
const hasStatus = (run, status) => until(`the run to be ${status}`, async () => (await statusOf(run)) === status);

/** A page that has submitted a run of two steps, of which the first has been shown. */
async function inTheMiddle(t, options = {}, submitted = {}) {
  const gates = closedGates(t);
  const page = new Page(t, options);
  await page.mounted();
  page.submission = page.stream.submit({ count: 2, gates: gates.directory }, submitted);
  gates.open(0);
  await page.shows(["0"]);
  return { page, gates, run: page.heard.created[0] };
}

test("submit creates a thread and a run, and shows what arrives", async (t) => {
  const { page, gates, run } = await inTheMiddle(t);
  assert.equal(page.stream.isLoading, true);
  assert.deepEqual(page.heard.threads, [run.thread_id]);

  gates.open(1);
  await page.submission;
  await page.shows(["0", "1"]);
  await page.idle();
  assert.deepEqual(page.heard.custom, [{ number: 0 }, { number: 1 }]);
  assert.equal(await statusOf(run), "success");
  assert.deepEqual(page.heard.errors, []);
});

test("a second submit goes on with the thread's state", async (t) => {
  const page = new Page(t);
  await page.mounted();
  await page.stream.submit({ count: 1, tag: "a" });
  await page.idle();
  await page.stream.submit({ count: 1, tag: "b" });
  await page.shows(["a0", "b0"]);
  assert.equal(new Set(page.heard.created.map((run) => run.thread_id)).size, 1);
});

test("a run that fails is an error of the page", async (t) => {
  const page = new Page(t, { assistantId: "failing" });
  await page.mounted();
  await page.stream.submit({ message: "kaput" });
  const error = await until("the error", () => page.stream.error);
  assert.deepEqual([error.name, error.message], ["ValueError", "kaput"]);
  await page.idle();
});

test("a run that is refused is an error of the page, with the server's words", async (t) => {
  const { page, run } = await inTheMiddle(t);
  const other = new Page(t, { threadId: run.thread_id });
  await other.mounted();
  await other.stream.submit({ count: 1 }, { multitaskStrategy: "reject" });
  const error = await until("the error", () => other.stream.error);
  assert.equal(error.status, 409);
  assert.equal(JSON.parse(error.text).code, "thread_busy");
  assert.equal(await statusOf(run), "running");
  assert.equal(page.stream.isLoading, true);
});

test("stop without reconnecting aborts the request, and the server cancels the run", async (t) => {
  const { page, run } = await inTheMiddle(t);
  await page.stream.stop();
  await page.idle();

  await hasStatus(run, "interrupted");
  assert.deepEqual(page.sent(/\/cancel/), []);
  assert.equal((await client.runs.get(run.thread_id, run.run_id)).cancelled_by, "system/disconnect");
  await page.shows(["0"]);
  await page.stream.submit({ count: 1, tag: "again " });
  await page.shows(["0", "again 0"]);
});

test("stop with reconnecting asks the server to cancel the run", async (t) => {
  const keep = sessionStorage();
  const { page, run } = await inTheMiddle(t, { keep });
  assert.equal(keep.getItem(`lg:stream:${run.thread_id}`), run.run_id);
  await page.stream.stop();
  await page.idle();

  await hasStatus(run, "interrupted");
  assert.deepEqual(page.sent(/\/cancel/), [
    `POST /threads/${run.thread_id}/runs/${run.run_id}/cancel?wait=0&action=interrupt`,
  ]);
  assert.equal(keep.getItem(`lg:stream:${run.thread_id}`), null);
  assert.deepEqual((await client.threads.getState(run.thread_id)).values, { log: ["0"] });
});

test("a reloaded page shows the run from its first event and goes on with it", async (t) => {
  const keep = sessionStorage();
  const { page, gates, run } = await inTheMiddle(t, { keep });
  page.close();

  const reloaded = new Page(t, { keep, threadId: run.thread_id });
  await reloaded.shows(["0"]);
  await until("the reconnection", () => reloaded.sent(/^GET .*\/stream\?/).length === 1);
  gates.open(1);
  await reloaded.shows(["0", "1"]);
  await reloaded.idle();
  assert.deepEqual(reloaded.heard.custom, [{ number: 0 }, { number: 1 }]);
  assert.deepEqual(reloaded.sent(/^POST .*\/runs/), []);
  assert.equal(await statusOf(run), "success");
  assert.equal(keep.getItem(`lg:stream:${run.thread_id}`), null);
});

test("a page that is reloaded after the run has ended shows its outcome", async (t) => {
  const keep = sessionStorage();
  const { page, gates, run } = await inTheMiddle(t, { keep });
  page.close();
  gates.open(1);
  await hasStatus(run, "success");

  const reloaded = new Page(t, { keep, threadId: run.thread_id });
  await reloaded.shows(["0", "1"]);
  await until("the replay", () => reloaded.heard.custom.length === 2);
  await reloaded.idle();
  assert.deepEqual(reloaded.heard.errors, []);
});

test("a page that is reloaded after the run has been deleted does not hang", async (t) => {
  const { thread_id } = await client.threads.create();
  const { run_id } = await client.runs.create(thread_id, "steps", { input: { count: 1 } });
  await client.runs.join(thread_id, run_id);
  await client.runs.delete(thread_id, run_id);

  const page = new Page(t, { keep: sessionStorage([`lg:stream:${thread_id}`, run_id]), threadId: thread_id });
  const error = await until("the error", () => page.stream?.error);
  assert.equal(error.status, 404);
  await page.idle();
});

test("two tabs show the same run, and closing one does not stop it for the other", async (t) => {
  const { page, gates, run } = await inTheMiddle(t, { keep: sessionStorage() });
  const copied = sessionStorage([`lg:stream:${run.thread_id}`, run.run_id]);
  const second = new Page(t, { keep: copied, threadId: run.thread_id });
  await until("the second tab to watch", () => second.heard.custom.length === 1);
  page.close();

  gates.open(1);
  await second.shows(["0", "1"]);
  await second.idle();
  assert.deepEqual(second.heard.custom, [{ number: 0 }, { number: 1 }]);
  assert.equal(await statusOf(run), "success");
});

test("a tab that was to cancel its run by leaving does not while another one watches", async (t) => {
  const { page, gates, run } = await inTheMiddle(t, {}, { onDisconnect: "cancel" });
  const copied = sessionStorage([`lg:stream:${run.thread_id}`, run.run_id]);
  const second = new Page(t, { keep: copied, threadId: run.thread_id });
  await until("the second tab to watch", () => second.heard.custom.length === 1);
  page.close();

  // A third tab leaves at the same moment and is watched by nobody: when its run has been cancelled, ours has not.
  const { page: third, run: lonely } = await inTheMiddle(t, {}, { onDisconnect: "cancel" });
  third.close();
  await hasStatus(lonely, "interrupted");
  assert.equal(await statusOf(run), "running");
  gates.open(1);
  await second.shows(["0", "1"]);
  await hasStatus(run, "success");
});

test("a submit while a run is going on waits its turn", async (t) => {
  const { page, gates } = await inTheMiddle(t);
  const second = page.stream.submit({ count: 1, tag: "b" }, { multitaskStrategy: "enqueue" });
  gates.open(1);
  await Promise.all([page.submission, second]);
  await page.shows(["0", "1", "b0"]);
  await page.idle();
  assert.equal(page.heard.created.length, 2);
  assert.deepEqual(await Promise.all(page.heard.created.map(statusOf)), ["success", "success"]);
});

test("a submit from another tab is queued by the server, in order", async (t) => {
  const { page, gates, run } = await inTheMiddle(t);
  const other = new Page(t, { threadId: run.thread_id });
  await other.mounted();
  const second = other.stream.submit({ count: 1, tag: "b" }, { multitaskStrategy: "enqueue" });
  const queued = await until("the second run", () => other.heard.created[0]);
  assert.equal((await client.runs.get(queued.thread_id, queued.run_id)).queue_position, 1);

  gates.open(1);
  await second;
  await other.shows(["0", "1", "b0"]);
  assert.deepEqual(page.values.log, ["0", "1"]);
});

test("a submit that interrupts takes the place of the run that is shown", async (t) => {
  const { page, run } = await inTheMiddle(t);
  await page.stream.submit({ count: 1, tag: "b" }, { multitaskStrategy: "interrupt" });
  await page.shows(["0", "b0"]);
  assert.equal(await statusOf(run), "interrupted");
});
