// Posts a run and shows its stream. What must survive a reload of the page is in this tab's session storage.
import { events } from "./sse.js";

const STORAGE = "runyard.playground";
const KEPT_FRAMES = 200;
const KEPT_CHARACTERS = 2000;
const LONGEST_PAUSE_MS = 5000;

const element = (id) => document.getElementById(id);
const threads = document.querySelector("main").dataset.threads;
const assistants = JSON.parse(element("assistants").textContent);
const token = document.querySelector("[name=csrfmiddlewaretoken]").value;

/** The thread, the run, the way to its stream, the place read to, whether it has ended, and the frames shown. */
let memory = { frames: [], ...JSON.parse(sessionStorage.getItem(STORAGE) ?? "{}") };
/** The stream that is being read; whoever opens another one aborts it. */
let reading = new AbortController();
let heartbeats = 0;

// Talking to the server

async function call(method, path, { body, headers, signal } = {}) {
  const response = await fetch(threads + path, {
    method,
    headers: { "X-CSRFToken": token, ...(body && { "Content-Type": "application/json" }), ...headers },
    body: body && JSON.stringify(body),
    credentials: "same-origin",
    signal,
  });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  const said = problem.detail ?? response.statusText;
  throw Object.assign(new Error(`${response.status} ${problem.code ?? ""}: ${said}`), { status: response.status });
}

const json = async (method, path, options) => (await call(method, path, options)).json();
const runPath = () => `/${memory.thread}/runs/${memory.run}`;

async function start() {
  const body = {
    assistant_id: element("assistant").value,
    input: parseInput(),
    stream_mode: ["values", "updates", "custom"],
    multitask_strategy: element("strategy").value,
    on_disconnect: element("on-disconnect").value,
  };
  remember({ thread: memory.thread ?? (await json("POST", "", { body: {} })).thread_id });
  const next = new AbortController(); // a refusal must not end the stream that is being read
  const response = await call("POST", `/${memory.thread}/runs/stream`, { body, signal: next.signal });
  remember({
    run: response.headers.get("Content-Location").split("/").pop(),
    stream: response.headers.get("Location").replace("/threads", ""),
    place: null,
    ended: false,
    frames: [],
    assistant: body.assistant_id,
    input: element("input").value,
  });
  redraw();
  await follow(response, takeOver(next));
}

function parseInput() {
  try {
    return JSON.parse(element("input").value);
  } catch (error) {
    throw new Error(`The input is not JSON: ${error.message}`);
  }
}

async function stop(action) {
  const response = await call("POST", `${runPath()}/cancel?action=${action}`);
  note(`${action}: the server answers ${response.status}`);
}

// Reading the stream

function takeOver(next = new AbortController()) {
  reading.abort();
  reading = next;
  return reading.signal;
}

/** Show what comes until the end; after a cut, go on where it was. Nothing is shown twice and nothing is left out. */
async function follow(response, signal) {
  for (let attempt = 0; !signal.aborted && !memory.ended; attempt++) {
    try {
      response ??= await resume(signal);
      for await (const event of events(response)) {
        attempt = 0;
        receive(event);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error.status === 404) remember({ ended: true });
      if (error.status < 500) throw error;
    }
    response = null;
    if (!memory.ended) await pauseBeforeReconnecting(attempt);
  }
  if (!signal.aborted) await showOutcome();
}

function resume(signal) {
  connection("live", memory.place ? `going on after ${memory.place}` : "reading from the start");
  return call("GET", memory.stream, { headers: { "Last-Event-ID": memory.place ?? "-1" }, signal });
}

function pauseBeforeReconnecting(attempt) {
  connection("lost", `the connection was cut; going on after ${memory.place ?? "the start"}`);
  return new Promise((again) => setTimeout(again, Math.min(500 * 2 ** attempt, LONGEST_PAUSE_MS)));
}

function receive({ event, data, id, comment }) {
  if (comment !== undefined) return beat();
  connection("live", "live");
  if (event === "values") showState(JSON.parse(data));
  const frame = { event, id: id ?? "", data: data.slice(0, KEPT_CHARACTERS) };
  remember({
    place: id ?? (event === "gap" ? null : memory.place), // after a gap without an id everything is read again
    ended: event === "end",
    frames: [...memory.frames, frame].slice(-KEPT_FRAMES),
  });
  show(frame);
}

async function showOutcome() {
  const [run, state] = await Promise.all([json("GET", runPath()), json("GET", `/${memory.thread}/state`)]);
  element("status").textContent = run.status + (run.rolled_back_at ? ", rolled back" : "");
  element("status").dataset.status = run.status;
  showState(state.values);
  connection("idle", `the stream has ended: ${run.status}`);
  enableButtons();
}

function showState(values) {
  element("state").textContent = JSON.stringify(values, null, 2);
}

// The page

function remember(news) {
  memory = { ...memory, ...news };
  sessionStorage.setItem(STORAGE, JSON.stringify(memory));
}

function redraw() {
  element("thread").textContent = memory.thread ?? "a new one";
  element("run").textContent = memory.run ?? "–";
  element("status").textContent = memory.run ? "in flight" : "–";
  delete element("status").dataset.status;
  element("state").textContent = "–";
  element("frames").replaceChildren(...memory.frames.map(draw));
  heartbeats = 0;
  element("heartbeats").textContent = "0";
  enableButtons();
}

function enableButtons() {
  const inFlight = Boolean(memory.run) && !memory.ended;
  element("interrupt").disabled = element("rollback").disabled = !inFlight;
}

function draw({ event, id, data }) {
  const item = document.createElement("li");
  item.dataset.event = event;
  for (const [tag, text] of [["b", event], ["code", id], ["pre", data]]) {
    const part = item.appendChild(document.createElement(tag));
    part.textContent = text;
    if (tag === "code") part.title = text; // the end's is long
  }
  return item;
}

function show(frame) {
  const list = element("frames");
  list.appendChild(draw(frame));
  if (list.children.length > KEPT_FRAMES) list.firstElementChild.remove();
  list.scrollTop = list.scrollHeight;
}

/** Something that this page and not the server has to say. */
function note(text) {
  show({ event: "note", id: "", data: text });
}

function beat() {
  heartbeats += 1;
  element("heartbeats").textContent = `${heartbeats}, the last one at ${new Date().toLocaleTimeString()}`;
  connection("live", "live");
}

function connection(state, text) {
  element("connection").dataset.state = state;
  element("connection").textContent = text;
}

function describeAssistant() {
  const chosen = assistants.find(({ name }) => name === element("assistant").value);
  element("description").textContent = chosen?.description.split("\n\n")[0].replaceAll("`", "") ?? "";
  element("input").value = JSON.stringify(chosen?.sample ?? {}, null, 2);
}

/** Do it, and show why if it cannot be done. */
async function attempt(action) {
  element("problem").hidden = true;
  try {
    await action();
  } catch (error) {
    if (error.name === "AbortError") return;
    element("problem").textContent = error.message;
    element("problem").hidden = false;
    if (memory.ended !== false) connection("idle", "nothing is running");
  }
}

element("assistant").addEventListener("change", describeAssistant);
element("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  attempt(start);
});
element("interrupt").addEventListener("click", () => attempt(() => stop("interrupt")));
element("rollback").addEventListener("click", () => attempt(() => stop("rollback")));
element("new-thread").addEventListener("click", () => {
  takeOver();
  remember({ thread: null, run: null, place: null, ended: true, frames: [] });
  redraw();
  connection("idle", "nothing is running");
});

if (memory.assistant) element("assistant").value = memory.assistant;
describeAssistant();
if (memory.input) element("input").value = memory.input;
redraw();
element("start").disabled = false; // before this the form would be sent to nowhere
if (memory.run) {
  note(memory.ended ? "this page was reloaded" : `this page was reloaded; going on after ${memory.place ?? "the start"}`);
  attempt(async () => {
    if (!memory.ended) showState((await json("GET", `/${memory.thread}/state`)).values);
    await follow(null, takeOver());
  });
}
