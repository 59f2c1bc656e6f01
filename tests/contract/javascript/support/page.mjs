// A page of a browser with one `useStream` in it. Closing it does what closing a tab does: every connection is cut.
import { JSDOM } from "jsdom";
import { apiKey, apiUrl, until } from "./server.mjs";

const browser = new JSDOM("<!doctype html><body></body>", { url: "http://page.test/" });
globalThis.window = browser.window;
globalThis.document = browser.window.document;
globalThis.navigator ??= browser.window.navigator; // newer Node has one of its own

// React looks for a browser when it is loaded.
const { createElement } = await import("react");
const { createRoot } = await import("react-dom/client");
const { useStream } = await import("@langchain/langgraph-sdk/react");

/** What a tab keeps when it is reloaded; a duplicated tab begins with a copy. */
export function sessionStorage(...entries) {
  const storage = new JSDOM("", { url: "http://page.test/" }).window.sessionStorage;
  entries.forEach(([name, value]) => storage.setItem(name, value));
  return storage;
}

export class Page {
  /** `keep`: the tab's storage; with it the hook reconnects on mount, without it it does not. */
  constructor(test, { keep, ...options } = {}) {
    this.requests = [];
    this.heard = { custom: [], created: [], errors: [], finished: 0, threads: [] };
    this.closing = new AbortController();
    this.root = createRoot(document.body.appendChild(document.createElement("main")));
    this.root.render(createElement(Chat, { page: this, options: { ...this.defaults(keep), ...options } }));
    test.after(() => this.close());
  }

  defaults(keep) {
    return {
      apiUrl,
      apiKey,
      assistantId: "steps",
      callerOptions: { fetch: (url, init) => this.fetch(url, init) },
      reconnectOnMount: keep ? () => keep : false,
      onThreadId: (id) => this.heard.threads.push(id),
      onCreated: (run) => this.heard.created.push(run),
      onCustomEvent: (data) => this.heard.custom.push(data),
      onError: (error) => this.heard.errors.push(error),
      onFinish: () => this.heard.finished++,
    };
  }

  fetch(url, init) {
    this.requests.push(`${init?.method ?? "GET"} ${new URL(url).pathname}${new URL(url).search}`);
    const signals = [this.closing.signal, init?.signal].filter(Boolean);
    return fetch(url, { ...init, signal: AbortSignal.any(signals) });
  }

  /** Requests whose method and path match. */
  sent(pattern) {
    return this.requests.filter((request) => pattern.test(request));
  }

  mounted() {
    return until("the page to be mounted", () => this.stream);
  }

  shows(log) {
    return until(`the page to show ${log}`, () => JSON.stringify(this.values?.log) === JSON.stringify(log));
  }

  idle() {
    return until("the page to stop loading", () => this.stream && !this.stream.isLoading);
  }

  close() {
    this.closing.abort();
    this.root.unmount();
  }
}

function Chat({ page, options }) {
  page.stream = useStream(options);
  page.values = page.stream.values; // reading it while rendering is what asks the server for the mode `values`
  return createElement("pre", null, JSON.stringify(page.values));
}
