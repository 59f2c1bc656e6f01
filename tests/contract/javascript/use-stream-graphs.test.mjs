// `useStream` of @langchain/langgraph-sdk/react, unmodified, with the graphs of a LangGraph project: what a chat does.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Client } from "@langchain/langgraph-sdk";
import { apiKey, apiUrl, until } from "./support/server.mjs";
import { Page } from "./support/page.mjs";

const client = new Client({ apiUrl, apiKey });

async function mounted(t, assistantId, options = {}) {
  const page = new Page(t, { assistantId, ...options });
  await page.mounted();
  return page;
}

test("a chat shows the messages, also when the page is loaded again", async (t) => {
  const page = await mounted(t, "chat");
  await page.stream.submit({ messages: [{ type: "human", content: "count" }] });
  await page.idle();

  const { messages } = page.stream;
  assert.deepEqual(messages.map(({ type, content }) => [type, content]), [["human", "count"], ["ai", "one two three"]]);
  const reloaded = await mounted(t, "chat", { threadId: page.heard.threads[0] });
  await until("the messages", () => reloaded.stream.messages.length === 2);
  assert.deepEqual(reloaded.stream.messages, messages);
});

test("a page shows the question of a graph and sends the answer", async (t) => {
  const page = await mounted(t, "hitl");
  await page.stream.submit({ question: "q?" });
  const asked = await until("the question", () => page.stream.interrupt);
  assert.deepEqual(asked.value, { question: "q?" });

  const other = await mounted(t, "hitl", { threadId: page.heard.threads[0] });
  assert.deepEqual((await until("the question in another tab", () => other.stream.interrupt)).value, asked.value);
  await other.stream.submit(undefined, { command: { resume: "yes" } });
  await until("the answer", () => other.values.answer === "yes");
  assert.equal(other.stream.interrupt, undefined);
});

test("a graph that fails is an error of the page", async (t) => {
  const page = await mounted(t, "boom");
  await page.stream.submit({ msg: "kaput" });
  const error = await until("the error", () => page.stream.error);
  assert.deepEqual([error.name, error.message], ["ValueError", "kaput"]);
});

test("frames of a subgraph do not pass for those of the graph", async (t) => {
  const updates = [];
  const page = await mounted(t, "parent", { onUpdateEvent: (data, { namespace }) => updates.push([namespace?.length ?? 0, data]) });
  await page.stream.submit({ log: [] }, { streamSubgraphs: true });
  await page.shows(["before"]);
  await until("the subgraph's state", () => page.values.inner?.length === 1);
  assert.deepEqual(updates.slice(0, 2), [[0, { before: { log: ["before"] } }], [1, { inner: { inner: ["child"] } }]]);
});

test("a page goes back to a former state and on from there", async (t) => {
  const page = await mounted(t, "slow", { fetchStateHistory: true });
  await page.stream.submit({ n: 2, tag: "a" });
  const history = await until("the history", () => page.stream.history.length === 4 && page.stream.history);
  const first = history.find((state) => state.values.log?.length === 1);
  await page.stream.submit({ tag: "b" }, { checkpoint: first.checkpoint });
  await page.idle();
  await until("the other branch", async () => {
    const { values } = await client.threads.getState(page.heard.threads[0]);
    return JSON.stringify(values.log) === '["a:0","b:1"]';
  });
});
