// The console's pages keep themselves up to date: while the tab is visible, nothing is being decided and nobody paused.
(() => {
  "use strict";
  const RATE = "runyard-refresh-seconds";
  const RATES = ["1", "2", "5", "15", "60"];
  const live = () => document.getElementById("live");
  const selected = new Set();
  let paused = false;
  let asking = false;
  let timer = 0;

  const pulse = (words) => {
    for (const place of document.querySelectorAll("[data-pulse]")) if (place.textContent !== words) place.textContent = words;
  };

  async function refresh() {
    const shown = live();
    if (asking || !shown) return;
    asking = true;
    try {
      const answer = await fetch(shown.dataset.live + location.search, { headers: { "X-Requested-With": "fetch" } });
      if (answer.redirected) return pulse("You are logged out: reload the page.");
      if (!answer.ok) return pulse(`The server answered ${answer.status}; trying again.`);
      const found = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
      if (found) replace(shown, found);
    } catch {
      pulse("The server does not answer; trying again.");
    } finally {
      asking = false;
    }
  }

  // Where the focus is: by id, or as a link to the same place.
  const placeOf = ({ id, attributes: { href } }) => id ? `#${CSS.escape(id)}` : href ? `#live a[href="${CSS.escape(href.value)}"]` : "";

  function replace(shown, found) {
    const focused = shown.contains(document.activeElement) ? placeOf(document.activeElement) : "";
    const scrolled = [...shown.querySelectorAll(".console-scroll, pre")].map((box) => [box.scrollLeft, box.scrollTop]);
    const open = [...shown.querySelectorAll("details")].map((details) => details.open);
    shown.replaceWith(document.adoptNode(found));
    found.querySelectorAll("details").forEach((details, number) => { if (number in open) details.open = open[number]; });
    found.querySelectorAll(".console-scroll, pre").forEach((box, number) => {
      if (scrolled[number]) [box.scrollLeft, box.scrollTop] = scrolled[number];
    });
    showSelection();
    // After the observers of what is inserted: one of them wraps tables anew, which takes the focus away again.
    if (focused) queueMicrotask(() => document.querySelector(focused)?.focus({ preventScroll: true }));
    pulse(paused ? "Paused" : "Live");
  }

  // What is selected stays selected while rows come and go; what has left the page is forgotten.
  function showSelection() {
    const boxes = [...document.querySelectorAll("[data-select]")];
    const here = new Set(boxes.map((box) => box.value));
    for (const run of selected) if (!here.has(run)) selected.delete(run);
    for (const box of boxes) box.checked = selected.has(box.value);
    const all = document.querySelector("[data-select-page]");
    if (all) {
      all.checked = boxes.length > 0 && selected.size === boxes.length;
      all.indeterminate = selected.size > 0 && !all.checked;
    }
    const words = document.querySelector("[data-selected]");
    if (words) words.textContent = selected.size ? `${selected.size} selected` : "None selected";
    for (const button of document.querySelectorAll('[data-scope="selected"]')) button.disabled = !selected.size;
  }

  // How often: chosen once, for every page in this browser.
  function schedule() {
    const chosen = localStorage.getItem(RATE);
    const seconds = RATES.includes(chosen) ? chosen : "5";
    for (const select of document.querySelectorAll("[data-every]")) select.value = seconds;
    clearInterval(timer);
    timer = setInterval(() => { if (mayRefresh()) refresh(); }, Number(seconds) * 1000);
  }

  document.addEventListener("change", ({ target }) => {
    if (!target.matches("[data-every]")) return;
    localStorage.setItem(RATE, target.value);
    schedule();
  });

  document.addEventListener("change", ({ target }) => {
    if (target.matches("[data-select]")) target.checked ? selected.add(target.value) : selected.delete(target.value);
    else if (target.matches("[data-select-page]")) {
      for (const box of document.querySelectorAll("[data-select]")) target.checked ? selected.add(box.value) : selected.delete(box.value);
    } else return;
    showSelection();
  });

  document.addEventListener("click", async ({ target }) => {
    const button = target.closest("[data-pause], [data-copy], [data-copy-text]");
    if (!button) return;
    if ("pause" in button.dataset) {
      paused = !paused;
      button.setAttribute("aria-pressed", String(paused));
      button.textContent = paused ? "Resume" : "Pause";
      pulse(paused ? "Paused" : "Live");
      if (!paused) refresh();
      return;
    }
    const text = button.dataset.copyText ?? document.querySelector(button.dataset.copy).textContent;
    const words = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      const place = document.querySelector(button.dataset.copy ?? "#nothing");
      if (place) place.hidden = false;
      button.textContent = "Copy it by hand";
    }
    setTimeout(() => { button.textContent = words; }, 2000);
  });

  // From a run back to the list as it was, with its filter and its page.
  const LIST = "runyard-list-of-runs";
  if (document.querySelector("[data-filters]")) sessionStorage.setItem(LIST, location.search);
  document.addEventListener("click", ({ target }) => {
    const link = target.closest("[data-back]");
    if (link) link.search = sessionStorage.getItem(LIST) ?? "";
  });

  // What was looked at last is offered where nothing is asked for; it is never gone to by itself.
  const views = document.querySelector("[data-views]");
  if (views) {
    const LAST = `runyard-last-view-${views.dataset.views}`;
    if (views.dataset.present) localStorage.setItem(LAST, views.dataset.present);
    const last = document.getElementById("last-view"), kept = localStorage.getItem(LAST) ?? "";
    if (!location.search && kept.startsWith("?")) {
      last.href = kept;
      last.hidden = false;
    }
  }

  // Empty fields would make addresses that nobody can read.
  document.querySelector("[data-filters]")?.addEventListener("submit", ({ currentTarget }) => {
    for (const field of currentTarget.elements) if (field.name && !field.value) field.disabled = true;
  });
  window.addEventListener("pageshow", () => {
    for (const field of document.querySelector("[data-filters]")?.elements ?? []) field.disabled = false;
  });

  // n and p: next and previous run; x: select it; c: cancel it; /: search.
  const typing = (target) => target.closest("input:not([type=checkbox]), select, textarea, dialog");
  document.addEventListener("keydown", (press) => {
    if (press.ctrlKey || press.metaKey || press.altKey || typing(press.target)) return;
    if (press.key === "/" && document.getElementById("q")) { press.preventDefault(); document.getElementById("q").focus(); return; }
    if (["n", "p", "x", "c"].includes(press.key)) press.preventDefault(); // what gets the focus is not to get the key
    const rows = [...document.querySelectorAll("tr[data-run]")];
    const row = document.activeElement?.closest("tr[data-run]");
    const step = { n: 1, p: -1 }[press.key];
    if (step && rows.length) rows[Math.min(Math.max(rows.indexOf(row) + step, 0), rows.length - 1)].querySelector("th a").focus();
    else if (press.key === "x") row?.querySelector("[data-select]")?.click();
    else if (press.key === "c") row?.querySelector('[data-act="cancel"]')?.click();
  });

  function watchStream(list) {
    const state = document.querySelector("[data-stream-state]");
    const source = new EventSource(list.dataset.stream);
    const show = (event) => {
      const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
      const line = document.createElement("li");
      line.textContent = `${event.lastEventId}  ${event.type}  ${event.data}`;
      list.append(line);
      while (list.children.length > 1000) list.firstChild.remove();
      if (atEnd) list.scrollTop = list.scrollHeight;
    };
    for (const name of ["metadata", "values", "updates", "custom", "messages", "tasks", "checkpoints", "events", "debug"]) source.addEventListener(name, show);
    source.addEventListener("open", () => { state.textContent = "Connected."; });
    source.addEventListener("error", (event) => {
      if (event.data) show(event);
      else state.textContent = source.readyState === EventSource.CLOSED ? "The server refuses the stream." : "Connecting again…";
    });
    for (const [name, words] of [["end", "The stream has ended."], ["gap", "Earlier events are no longer retained; reload to see what is."]])
      source.addEventListener(name, (event) => { show(event); source.close(); state.textContent = words; });
  }

  document.addEventListener("DOMContentLoaded", () => {
    const stream = document.querySelector("[data-stream]");
    if (stream) watchStream(stream);
    showSelection();
    schedule();
    pulse("Live");
  });
  const mayRefresh = () => !paused && !document.hidden && !document.querySelector("dialog[open]") && live() && !("final" in live().dataset);
  document.addEventListener("visibilitychange", () => { if (mayRefresh()) refresh(); });
  window.runyardConsole = { refresh, selected };
})();
