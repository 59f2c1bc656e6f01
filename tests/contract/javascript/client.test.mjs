// The client of @langchain/langgraph-sdk, unmodified: every method that this server supports, and what the others say.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Client } from "@langchain/langgraph-sdk";
import { all, refused, shown, upTo } from "./support/answers.mjs";
import { cuttingProxy } from "./support/proxy.mjs";
import { apiKey, apiUrl, closedGates, until } from "./support/server.mjs";

const client = new Client({ apiUrl, apiKey });
const MODES = ["values", "updates", "custom"];
const TWO_STEPS = [
  ["custom", { number: 0 }],
  ["updates", { steps: { log: ["0"] } }],
  ["values", { log: ["0"] }],
  ["custom", { number: 1 }],
  ["updates", { steps: { log: ["0", "1"] } }],
  ["values", { log: ["0", "1"] }],
];
const END = ["end", null];

const newThread = async () => (await client.threads.create()).thread_id;
const statusOf = async (thread, run) => (await client.runs.get(thread, run)).status;
const id = crypto.randomUUID(); // of nothing
const begun = (run) => ["metadata", { run_id: run, attempt: 1 }];

test("runs.stream shows what was asked for and ends", async () => {
  const thread = await newThread();
  const created = [];
  const onRunCreated = (run) => created.push(run);
  const parts = await all(client.runs.stream(thread, "steps", { input: { count: 2 }, streamMode: MODES, onRunCreated }));

  const run = created[0].run_id;
  assert.deepEqual(created, [{ run_id: run, thread_id: thread }]);
  assert.deepEqual(shown(parts), [begun(run), ...TWO_STEPS, END]);
  assert.equal(await statusOf(thread, run), "success");
});

test("runs.stream of a failure ends with its error", async () => {
  const parts = await all(client.runs.stream(await newThread(), "failing", { input: {} }));
  assert.deepEqual(shown(parts).slice(1), [
    ["values", { log: ["begun"] }],
    ["error", { error: "ValueError", message: "kaput" }],
    END,
  ]);
});

test("runs.joinStream replays a finished run after any event, in the modes asked for", async () => {
  const thread = await newThread();
  const { run_id: run } = await client.runs.create(thread, "steps", { input: { count: 2 }, streamMode: MODES });
  await client.runs.join(thread, run);
  const joined = async (options) => all(client.runs.joinStream(thread, run, options));
  const everything = await joined({ lastEventId: "-1" });

  assert.deepEqual(shown(everything), [begun(run), ...TWO_STEPS, END]);
  const after = await joined({ lastEventId: everything[3].id, checkpointId: "of no importance" });
  assert.deepEqual(shown(after), shown(everything).slice(4));
  for (const streamMode of ["custom", ["custom"], ["custom", "values"]]) {
    const events = shown(await joined({ streamMode })).map(([event]) => event);
    assert.deepEqual(new Set(events), new Set(["metadata", ...[streamMode].flat(), "end"]));
  }
});

test("runs.stream goes on after a cut as if nothing had happened", async (t) => {
  const proxy = await cuttingProxy(t, apiUrl);
  const gates = closedGates(t);
  const far = new Client({ apiUrl: proxy.url, apiKey });
  const thread = await newThread();
  const input = { count: 2, gates: gates.directory };
  const stream = far.runs.stream(thread, "steps", { input, streamMode: MODES, onDisconnect: "cancel" });
  gates.open(0);
  const early = await upTo(stream, "values", { log: ["0"] });
  proxy.cut();
  gates.open(1);

  const run = early[0].data.run_id;
  assert.deepEqual(shown([...early, ...(await all(stream))]), [begun(run), ...TWO_STEPS, END]);
});

test("leaving runs.stream cancels the run, or not, as was asked", async (t) => {
  const gates = closedGates(t);
  gates.open(0);
  const leave = async (onDisconnect) => {
    const thread = await newThread();
    const leaving = new AbortController();
    const input = { count: 2, gates: gates.directory };
    const stream = client.runs.stream(thread, "steps", { input, onDisconnect, signal: leaving.signal });
    const [{ data }] = await upTo(stream, "values", { log: ["0"] });
    leaving.abort();
    assert.deepEqual(await all(stream), []);
    return [thread, data.run_id];
  };

  const [kept, cancelled] = [await leave("continue"), await leave("cancel")];
  await until("the run to be interrupted", async () => (await statusOf(...cancelled)) === "interrupted");
  assert.equal(await statusOf(...kept), "running");
  gates.open(1);
  assert.deepEqual(await client.runs.join(...kept), { log: ["0", "1"] });
});

test("runs.joinStream with cancelOnDisconnect cancels by leaving", async (t) => {
  const gates = closedGates(t);
  const thread = await newThread();
  const { run_id: run } = await client.runs.create(thread, "steps", { input: { count: 2, gates: gates.directory } });
  gates.open(0);
  const leaving = new AbortController();
  const stream = client.runs.joinStream(thread, run, { cancelOnDisconnect: true, signal: leaving.signal });
  await upTo(stream, "values", { log: ["0"] });
  leaving.abort();
  assert.deepEqual(await all(stream), []);
  await until("the run to be interrupted", async () => (await statusOf(thread, run)) === "interrupted");
});

test("runs.wait and runs.join answer with the state, or with the error", async () => {
  const thread = await newThread();
  assert.deepEqual(await client.runs.wait(thread, "steps", { input: { count: 1 } }), { log: ["0"] });
  await assert.rejects(client.runs.wait(thread, "failing", { input: {} }), { message: "ValueError: kaput" });
  const told = await client.runs.wait(thread, "failing", { input: {}, raiseError: false });
  assert.deepEqual(told, { __error__: { error: "ValueError", message: "kaput" } });
});

test("a queue as pages keep it: create, list, joinStream, cancel", async (t) => {
  const gates = closedGates(t);
  const thread = await newThread();
  const input = { count: 1, gates: gates.directory };
  const create = () =>
    client.runs.create(thread, "steps", { input, multitaskStrategy: "enqueue", streamResumable: true });
  const [first, second, third] = [await create(), await create(), await create()];
  await until("the first to begin", async () => (await statusOf(thread, first.run_id)) === "running");
  const select = ["run_id", "kwargs", "created_at", "multitask_strategy"];
  const waiting = await client.runs.list(thread, { status: "pending", limit: 1000, select });
  assert.deepEqual(waiting.map((run) => run.run_id), [third.run_id, second.run_id]);
  assert.deepEqual(Object.keys(waiting[0]).sort(), [...select].sort());

  assert.equal(await client.runs.cancel(thread, third.run_id, false, "interrupt", { reason: "taken" }), undefined);
  assert.equal((await client.runs.get(thread, third.run_id)).reason, "taken");
  const joined = all(client.runs.joinStream(thread, second.run_id, { lastEventId: "-1" }));
  gates.open(0);
  assert.deepEqual(shown(await joined), [begun(second.run_id), ["values", { log: ["0", "0"] }], END]);
});

test("runs.cancel answers when it has been accepted, or with wait when nothing executes the run", async (t) => {
  const thread = await newThread();
  const { run_id: run } = await client.runs.create(thread, "steps", {
    input: { count: 1, gates: closedGates(t).directory },
  });
  assert.equal(await client.runs.cancel(thread, run), undefined);
  assert.equal(await client.runs.cancel(thread, run, true, "rollback"), undefined);
  const { status, stopping, cancel_action: action } = await client.runs.get(thread, run);
  assert.deepEqual([status, stopping, action], ["interrupted", false, "interrupt"]);
});

test("runs.cancelMany and runs.delete", async (t) => {
  const thread = await newThread();
  const input = { count: 1, gates: closedGates(t).directory };
  const { run_id: run } = await client.runs.create(thread, "steps", { input });
  assert.equal(await client.runs.cancelMany({ threadId: thread, runIds: [run], action: "rollback" }), undefined);
  assert.equal(await statusOf(thread, run), "interrupted");
  await client.runs.delete(thread, run);
  assert.deepEqual((await refused(client.runs.get(thread, run)))[1], "run_not_found");
});

test("runs without a thread", async () => {
  const created = [];
  const payload = { input: { count: 1 }, onRunCreated: (run) => created.push(run) };
  assert.deepEqual(await client.runs.wait(null, "steps", payload), { log: ["0"] });
  const parts = await all(client.runs.stream(null, "steps", payload));
  const background = await client.runs.create(null, "steps", { ...payload, onCompletion: "keep" });

  assert.deepEqual(shown(parts).slice(1), [["values", { log: ["0"] }], END]);
  assert.deepEqual(created[2], { run_id: background.run_id, thread_id: undefined });
  assert.deepEqual(await client.runs.join(background.thread_id, background.run_id), { log: ["0"] });
  assert.equal((await refused(client.threads.get(created[0].thread_id)))[0], 404);
});

test("runs.createBatch", async () => {
  const item = { assistantId: "steps", input: { count: 1 }, on_completion: "keep" };
  const runs = await client.runs.createBatch([item, item]);
  const answers = await Promise.all(runs.map((run) => client.runs.join(run.thread_id, run.run_id)));
  assert.deepEqual(answers, [{ log: ["0"] }, { log: ["0"] }]);
});

test("threads", async () => {
  const mark = crypto.randomUUID();
  const thread = await client.threads.create({ metadata: { mark }, graphId: "steps", ifExists: "raise" });
  const id = thread.thread_id;
  assert.deepEqual(await client.threads.create({ threadId: id, ifExists: "do_nothing" }), thread);
  assert.deepEqual((await client.threads.update(id, { metadata: { more: 1 } })).metadata.more, 1);
  assert.equal(await client.threads.update(id, { metadata: { more: 2 }, returnMinimal: true }), undefined);
  assert.deepEqual((await client.threads.get(id, { include: ["ttl"] })).metadata, { mark, graph_id: "steps", more: 2 });
  assert.deepEqual(await client.threads.search({ metadata: { mark }, select: ["thread_id"] }), [{ thread_id: id }]);
  assert.equal(await client.threads.count({ metadata: { mark } }), 1);
  await client.threads.delete(id);
  assert.equal(await client.threads.count({ metadata: { mark } }), 0);
});

test("threads.getState and threads.getHistory", async () => {
  const thread = await newThread();
  assert.equal((await client.threads.getState(thread)).checkpoint, null);
  await client.runs.wait(thread, "steps", { input: { count: 1 } });
  const states = await client.threads.getHistory(thread, { limit: 10 });

  assert.deepEqual(states.map((state) => state.values), [{ log: ["0"] }, { log: ["0"] }]);
  assert.deepEqual(await client.threads.getHistory(thread, { before: states[0].checkpoint }), [states[1]]);
  assert.deepEqual(await client.threads.getState(thread), states[0]);
  assert.deepEqual(await client.threads.getState(thread, states[1].checkpoint_id), states[1]);
  assert.deepEqual(await client.threads.getState(thread, states[1].checkpoint), states[1]);
  assert.deepEqual(await client.threads.getState(thread, null, { select: ["values.log"] }), { values: { log: ["0"] } });
});

test("threads.updateState, threads.copy and threads.prune", async (t) => {
  const thread = await newThread();
  const first = await client.threads.updateState(thread, { values: { log: ["by hand"] } });
  assert.deepEqual(await client.runs.wait(thread, "steps", { input: { count: 1 } }), { log: ["by hand", "0"] });
  await client.threads.updateState(thread, { values: { more: 1 }, checkpoint: first.checkpoint });
  assert.deepEqual((await client.threads.getState(thread)).values, { log: ["by hand"], more: 1 });

  const copy = await client.threads.copy(thread);
  assert.deepEqual(copy.values, { log: ["by hand"], more: 1 });
  assert.deepEqual(await client.runs.list(copy.thread_id), []);
  const { run_id: run } = await client.runs.create(thread, "steps", { input: { count: 1, gates: closedGates(t).directory } });
  assert.deepEqual((await refused(client.threads.updateState(thread, { values: {} }))).slice(0, 2), [409, "thread_busy"]);
  assert.deepEqual(await client.threads.prune([thread, copy.thread_id, id]), { pruned_count: 2 });
  assert.equal((await refused(client.runs.get(thread, run)))[0], 404);
});

test("threads.joinStream shows one run after the other", async (t) => {
  const gates = closedGates(t);
  const thread = await newThread();
  const { run_id: run } = await client.runs.create(thread, "steps", { input: { count: 1, gates: gates.directory } });
  const leaving = new AbortController();
  const done = ["metadata", { status: "run_done", run_id: run }];
  const stream = client.threads.joinStream(thread, { signal: leaving.signal });
  const lifecycle = client.threads.joinStream(thread, { streamMode: "lifecycle", signal: leaving.signal });
  const both = [stream, lifecycle];
  const beginnings = await Promise.all(both.map((one) => upTo(one, ...begun(run))));
  gates.open(0);
  const ends = await Promise.all(both.map((one) => upTo(one, ...done)));

  assert.deepEqual(beginnings.map(shown), [[begun(run)], [begun(run)]]);
  assert.deepEqual(ends.map(shown), [[["values", { log: ["0"] }], done], [done]]);
  leaving.abort();
});

test("assistants are found", async () => {
  const page = await client.assistants.search({ limit: 1, sortBy: "name", sortOrder: "asc", includePagination: true });
  const [steps] = await client.assistants.search({ graphId: "steps", metadata: { created_by: "system" } });
  assert.equal(page.next, "1");
  assert.deepEqual(await client.assistants.get(steps.assistant_id), steps);
  assert.equal(await client.assistants.count({ graphId: "steps", metadata: { created_by: "system" } }), 1);
});

test("an assistant from its create to its end", async () => {
  const thread = await newThread();
  const asked = { graphId: "steps", context: { who: "ada" }, config: { recursion_limit: 9 }, name: "Mine" };
  const mine = await client.assistants.create({ ...asked, metadata: { n: 1 } });
  const key = mine.assistant_id;
  assert.deepEqual(mine.config, { recursion_limit: 9, configurable: { who: "ada" } });
  assert.deepEqual(await client.assistants.create({ ...asked, assistantId: key, ifExists: "do_nothing" }), mine);

  assert.equal((await client.assistants.update(key, { name: "Two", metadata: { m: 2 } })).version, 2);
  assert.deepEqual((await client.assistants.getVersions(key)).map(({ name }) => name), ["Two", "Mine"]);
  assert.equal((await client.assistants.setLatest(key, 1)).name, "Mine");

  assert.deepEqual(await client.runs.wait(thread, key, { input: { count: 1 } }), { log: ["0"] });
  const [run] = await client.runs.list(thread);
  assert.deepEqual([run.assistant_id, run.kwargs.context], [key, { who: "ada" }]);
  await client.assistants.delete(key, { deleteThreads: true });
  assert.equal((await refused(client.assistants.get(key)))[1], "assistant_not_found");
  assert.equal((await refused(client.threads.get(thread)))[1], "thread_not_found");
});

test("what the graph of an assistant looks like", async () => {
  const { nodes } = await client.assistants.getGraph("steps", { xray: true });
  assert.deepEqual(nodes.map((node) => node.id), ["__start__", "steps", "__end__"]);
  assert.equal((await client.assistants.getSchemas("steps")).graph_id, "steps");
  assert.deepEqual(await client.assistants.getSubgraphs("steps", { namespace: "child", recurse: true }), {});
});

test("a refusal carries the server's words", async () => {
  const thread = await newThread();
  const { run_id: run } = await client.runs.create(thread, "steps", { input: { count: 1 } });
  await client.runs.join(thread, run);
  const stranger = new Client({ apiUrl, apiKey: "not a key" });
  const both = { config: { configurable: { a: 1 } }, context: { b: 1 } };

  assert.deepEqual(
    (await Promise.all([
      refused(client.runs.create(thread, "steps", both)),
      refused(stranger.threads.create()),
      refused(client.runs.create(crypto.randomUUID(), "steps")),
      refused(client.runs.cancel(thread, run)),
      refused(client.runs.create(thread, "steps", { webhook: "https://example.com" })),
    ])).map(([status, code]) => [status, code]),
    [
      [400, "contradictory_options"],
      [401, "authentication_failed"],
      [404, "thread_not_found"],
      [409, "not_cancellable"],
      [422, "invalid_request"],
    ],
  );
});

const notThere = {
  "threads.patchState": () => client.threads.patchState(id, {}),
};
const OTHER_PROTOCOL = ["threads.stream"]; // of its own, over /threads/{id}/commands, which is a 404

for (const [method, call] of Object.entries(notThere)) {
  test(`${method} is refused`, async () => {
    const [status, code] = await refused(call());
    assert.ok([404, 405, 422].includes(status), `it is ${status}`);
    assert.ok(["not_found", "method_not_allowed", "invalid_request"].includes(code), `it is ${code}`);
  });
}

test("no method of the client was forgotten", () => {
  const used = readFileSync(new URL(import.meta.url), "utf8");
  const unused = ["runs", "threads", "assistants"]
    .flatMap((name) => methods(client[name]).map((method) => `${name}.${method}`))
    .filter((method) => !new RegExp(`(client|far)\\.${method}\\(`).test(used.split("const notThere")[0]));
  assert.deepEqual(unused.sort(), [...Object.keys(notThere), ...OTHER_PROTOCOL].sort());
});

function methods(resource) {
  const prototype = Object.getPrototypeOf(resource);
  return Object.getOwnPropertyNames(prototype).filter((name) => name !== "constructor");
}
