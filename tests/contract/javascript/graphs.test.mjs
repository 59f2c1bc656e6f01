// Graphs of a LangGraph project and the client of @langchain/langgraph-sdk, unmodified, point by point; the points are
// those of tests/contract/test_python_graphs.py.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Client } from "@langchain/langgraph-sdk";
import { all, refused, shown, upTo } from "./support/answers.mjs";
import { apiKey, apiUrl, closedGates, until } from "./support/server.mjs";

const client = new Client({ apiUrl, apiKey });
const END = ["end", null];
const begun = (run) => ["metadata", { run_id: run, attempt: 1 }];
const newThread = async () => (await client.threads.create()).thread_id;
const statusOf = async (thread, run) => (await client.runs.get(thread, run)).status;
const logOf = async (thread) => (await client.threads.getState(thread)).values.log;
const between = (parts) => shown(parts).filter(([event]) => !["metadata", "end"].includes(event));
const stream = async (graph, options, thread = null) => between(await all(client.runs.stream(thread, graph, options)));

/** Input of `slow`: as many steps, each of which waits for its gate. */
const slow = (gates, n = 2, tag = "A") => ({ n, tag, gates: gates.directory });

/** A run of `slow` whose first step is kept and whose second one waits. */
async function inTheSecondStep(t, options = {}) {
  const [thread, gates] = [await newThread(), closedGates(t)];
  const { run_id: run } = await client.runs.create(thread, "slow", { input: slow(gates), ...options });
  gates.open(0);
  await until("the first step", async () => (await logOf(thread))?.length === 1);
  return { thread, gates, run };
}

test("1. a run from pending to success", async (t) => {
  const [thread, gates, created] = [await newThread(), closedGates(t), []];
  const onRunCreated = (run) => created.push(run);
  const { run_id: run, status } = await client.runs.create(thread, "slow", { input: slow(gates), onRunCreated });
  assert.equal(status, "pending");
  assert.deepEqual(created, [{ run_id: run, thread_id: thread }]);
  await until("the run to begin", async () => (await statusOf(thread, run)) === "running");
  assert.equal((await client.threads.get(thread)).status, "busy");
  gates.open(0, 1);
  assert.deepEqual((await client.runs.join(thread, run)).log, ["A:0", "A:1"]);
  assert.deepEqual([await statusOf(thread, run), (await client.threads.get(thread)).status], ["success", "idle"]);
});

test("1. each kind of graph", async () => {
  const wait = (graph, input) => client.runs.wait(null, graph, { input });
  assert.deepEqual(await wait("echo", { text: "hi" }), { text: "hi", log: ["echo hi"] });
  assert.deepEqual(await wait("parent", { log: ["in"] }), { log: ["in", "before"], inner: ["child"] });
  assert.deepEqual(await wait("parallel", { log: [] }), { log: ["a", "b"] });
  for (const kind of ["async", "managed"]) assert.deepEqual(await wait(`${kind}_factory`, {}), { log: [kind] });
  const config = { configurable: { name: "ada" } };
  assert.deepEqual(await client.runs.wait(null, "sync_factory", { input: {}, config }), { log: ["sync ada"] });
});

test("2. the frames of a stream, in the order in which things happen", async () => {
  const input = { n: 1, tag: "A" };
  const frames = shown(await all(client.runs.stream(null, "slow", { input, streamMode: ["values", "updates", "custom"] })));
  assert.deepEqual(frames, [
    begun(frames[0][1].run_id),
    ["values", { ...input, log: [] }],
    ["custom", { step: 0, tag: "A" }],
    ["updates", { step: { log: ["A:0"] } }],
    ["values", { ...input, log: ["A:0"] }],
    END,
  ]);
});

test("2. tokens, subgraphs, and what happens inside", async () => {
  const input = { messages: [{ role: "user", content: "count" }] };
  const tokens = await stream("chat", { input, streamMode: "messages-tuple" });
  assert.equal(tokens.map(([, [chunk]]) => chunk.content).join(""), "one two three");
  const partial = (await stream("chat", { input, streamMode: "messages" })).filter(([event]) => event === "messages/partial");
  assert.deepEqual(partial.slice(0, 3).map(([, [message]]) => message.content), ["one", "one ", "one two"]);
  const inside = await stream("parent", { input: { log: [] }, streamMode: "updates", streamSubgraphs: true });
  assert.deepEqual(inside.map(([event]) => event.split(":")[0]), ["updates", "updates|child", "updates"]);
  const debug = await stream("echo", { input: {}, streamMode: ["tasks", "checkpoints", "debug", "events"] });
  const kinds = new Set(debug.map(([event]) => event));
  assert.deepEqual(kinds, new Set(["tasks", "checkpoints", "debug", "events"]));
});

test("3. a graph that fails", async () => {
  const [thread, input] = [await newThread(), { msg: "kaput" }];
  const told = { error: "ValueError", message: "kaput" };
  assert.deepEqual((await stream("boom", { input }, thread)).at(-1), ["error", told]);
  await assert.rejects(client.runs.wait(thread, "boom", { input }), { message: "ValueError: kaput" });
  assert.deepEqual(await client.runs.wait(thread, "boom", { input, raiseError: false }), { __error__: told });
  const { status, error } = await client.threads.get(thread);
  assert.deepEqual([status, error], ["error", told]);
  assert.deepEqual(new Set((await client.runs.list(thread)).map((run) => run.status)), new Set(["error"]));
});

for (const by of ["value", "id"]) {
  test(`4. a human answers by ${by}`, async () => {
    const thread = await newThread();
    const frames = await stream("hitl", { input: { question: "q?" }, streamMode: ["values", "updates"] }, thread);
    const [question] = frames.at(-1)[1].__interrupt__;
    const [run] = await client.runs.list(thread);
    const { status, interrupts } = await client.threads.get(thread);
    const { next, tasks } = await client.threads.getState(thread);
    assert.deepEqual([run.status, status, next], ["success", "interrupted", ["ask"]]);
    assert.deepEqual(interrupts[tasks[0].id].map(({ id, value }) => [id, value]), [[question.id, { question: "q?" }]]);

    const resume = by === "id" ? { [question.id]: "yes" } : "yes";
    assert.deepEqual(await client.runs.wait(thread, "hitl", { command: { resume } }), { question: "q?", answer: "yes" });
    const answered = await client.threads.get(thread);
    assert.deepEqual([answered.status, answered.interrupts], ["idle", {}]);
  });
}

test("4. a breakpoint, a change by hand, and on", async () => {
  const thread = await newThread();
  await client.runs.wait(thread, "parent", { input: { log: [] }, interruptBefore: ["child"] });
  assert.deepEqual((await client.threads.getState(thread, null, { subgraphs: true })).next, ["child"]);
  const { checkpoint } = await client.threads.updateState(thread, { values: { log: ["by hand"] }, asNode: "before" });
  const [changed, before] = await client.threads.getHistory(thread);
  assert.deepEqual([changed.checkpoint, changed.values.log, before.values.log], [checkpoint, ["before", "by hand"], ["before"]]);
  const values = { log: ["before", "by hand"], inner: ["child"] };
  assert.deepEqual(await client.runs.wait(thread, "parent", { input: null }), values);
  const forked = await client.runs.wait(thread, "parent", { input: null, checkpoint: before.checkpoint });
  assert.deepEqual(forked, { log: ["before"], inner: ["child"] });
});

for (const [strategy, log] of [["enqueue", ["A:0", "A:1", "B:2"]], ["interrupt", ["A:0", "B:1"]], ["rollback", ["B:0"]]]) {
  test(`5. a second run with ${strategy}`, async (t) => {
    const { thread, gates, run } = await inTheSecondStep(t);
    const { run_id: waiting } = await client.runs.create(thread, "slow", { afterSeconds: 3600, multitaskStrategy: "enqueue" });
    const input = { n: 1, tag: "B" };
    const second = await client.runs.create(thread, "slow", { input, multitaskStrategy: strategy });
    gates.open(1, 2);
    assert.deepEqual((await client.runs.join(thread, second.run_id)).log, log);
    const ended = strategy === "enqueue" ? ["success", "pending"] : ["interrupted", "interrupted"];
    assert.deepEqual([await statusOf(thread, run), await statusOf(thread, waiting)], ended);
  });
}

test("5. a second run with reject", async (t) => {
  const { thread, gates, run } = await inTheSecondStep(t);
  const create = () => client.runs.create(thread, "slow", { multitaskStrategy: "reject" });
  assert.deepEqual((await refused(create())).slice(0, 2), [409, "thread_busy"]);
  assert.equal((await client.runs.list(thread)).length, 1);
  gates.open(1);
  assert.deepEqual((await client.runs.join(thread, run)).log, ["A:0", "A:1"]);
});

for (const action of ["interrupt", "rollback"]) {
  test(`6. cancel with ${action}, again, and on`, async (t) => {
    const { thread, gates, run } = await inTheSecondStep(t);
    assert.equal(await client.runs.cancel(thread, run, false, action), undefined);
    assert.equal(await client.runs.cancel(thread, run, true, "interrupt"), undefined);
    const { status, stopping, cancel_action: first } = await client.runs.get(thread, run);
    assert.deepEqual([status, stopping, first], ["interrupted", false, action]);
    const kept = action === "interrupt";
    assert.deepEqual(await logOf(thread), kept ? ["A:0"] : undefined);
    gates.open(1);
    const input = kept ? null : { n: 1, tag: "C" };
    assert.deepEqual((await client.runs.wait(thread, "slow", { input })).log, kept ? ["A:0", "A:1"] : ["C:0"]);
  });
}

test("7. a stream is resumed anywhere and goes on into what happens", async (t) => {
  const { thread, gates, run } = await inTheSecondStep(t, { streamMode: ["updates", "custom"] });
  const join = (options) => client.runs.joinStream(thread, run, options);
  const first = ["updates", { step: { log: ["A:0"] } }];
  const streams = [join(), join({ lastEventId: "-1" }), join({ lastEventId: "0" })];
  const early = await Promise.all(streams.map((one) => upTo(one, ...first)));
  const after = join({ lastEventId: early[0][1].id });
  gates.open(1);
  const everything = await Promise.all(streams.map(async (one, i) => shown([...early[i], ...(await all(one))])));
  const custom = (step) => ["custom", { step, tag: "A" }];
  const whole = [begun(run), custom(0), first, custom(1), ["updates", { step: { log: ["A:1"] } }], END];
  assert.deepEqual(everything, [whole, whole, whole]);
  assert.deepEqual(shown(await all(after)), whole.slice(2));
});

test("8. leaving cancels or not, as was asked", async (t) => {
  const gates = closedGates(t);
  gates.open(0);
  const leave = async (onDisconnect) => {
    const [thread, leaving] = [await newThread(), new AbortController()];
    const options = { input: slow(gates), onDisconnect, signal: leaving.signal };
    const [{ data }] = await upTo(client.runs.stream(thread, "slow", options), "values", { ...slow(gates), log: ["A:0"] });
    leaving.abort();
    return [thread, data.run_id];
  };
  const [kept, cancelled] = [await leave("continue"), await leave("cancel")];
  await until("the run to be interrupted", async () => (await statusOf(...cancelled)) === "interrupted");
  assert.equal(await statusOf(...kept), "running");
  gates.open(1);
  assert.deepEqual((await client.runs.join(...kept)).log, ["A:0", "A:1"]);
});

test("9. without a thread", async () => {
  const created = [];
  const given = { input: { text: "hi" }, onRunCreated: (run) => created.push(run) };
  assert.deepEqual((await client.runs.wait(null, "echo", given)).log, ["echo hi"]);
  assert.equal((await refused(client.threads.get(created[0].thread_id)))[0], 404);
  const kept = await client.runs.create(null, "echo", { ...given, onCompletion: "keep" });
  assert.deepEqual(created[1], { run_id: kept.run_id, thread_id: undefined });
  assert.deepEqual((await client.runs.join(kept.thread_id, kept.run_id)).log, ["echo hi"]);
});
