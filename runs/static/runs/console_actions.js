// The dialog of an action: how many runs it would reach, why, how; then portion after portion until all are done.
(() => {
  "use strict";
  const dialog = document.getElementById("act");
  if (!dialog) return;
  const form = dialog.querySelector("form");
  const part = (name) => dialog.querySelector(`[data-${name}]`);
  const actions = Object.fromEntries([...document.querySelectorAll("template[data-action]")].map((one) => [one.dataset.action, one]));
  let target = null; // { act, words, runs: [ids] | filter: query, count, bound: up to where all portions look }
  let opener = "";
  let stopped = false;
  let busy = false;

  function body(more = {}) {
    const sent = new FormData();
    sent.set("csrfmiddlewaretoken", form.elements.csrfmiddlewaretoken.value);
    if (target.filter !== undefined) sent.set("filter", target.filter);
    else for (const run of target.runs) sent.append("run", run);
    for (const [name, value] of Object.entries(more)) sent.set(name, value);
    return sent;
  }

  async function post(path, sent) {
    const answer = await fetch(form.dataset.url + path, { method: "POST", body: sent, headers: { "X-Requested-With": "fetch" } });
    if (answer.redirected) throw new Error("You are logged out: reload the page.");
    if (answer.status === 403) throw new Error("You may not do this.");
    const found = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Error(found.detail || `The server answered ${answer.status}.`);
    return found;
  }

  const wordsOf = (count, shown = count) => (count === 1 ? "1 run" : `${shown} runs`);

  async function open(button) {
    const { act, scope, run, filter } = button.dataset;
    const words = actions[act];
    target = { act, words, ...(scope === "filter" ? { filter } : { runs: scope === "one" ? [run] : [...window.runyardConsole.selected] }) };
    opener = button.id;
    stopped = busy = false;
    dialog.querySelector("h2").textContent = `${words.dataset.title} ${scope === "one" ? "this run" : scope === "selected" ? "the selected runs" : "all that match the filter"}?`;
    part("explanation").textContent = words.content.textContent;
    part("confirm").className = `console-button ${words.dataset.asksHow ? "is-danger" : "is-primary"}`;
    part("how").hidden = !words.dataset.asksHow;
    form.reset();
    form.elements.reason.value = `${words.dataset.done} by ${form.dataset.operator}`;
    part("confirm").hidden = part("confirm").disabled = false;
    part("confirm").disabled = true;
    part("confirm").textContent = words.dataset.title;
    part("stop").hidden = part("progress").hidden = true;
    part("result").replaceChildren();
    part("count").textContent = "Counting…";
    part("understood").textContent = "";
    dialog.showModal();
    form.elements.reason.focus();
    try {
      const found = await post(`${act}/count/`, body());
      target.count = found.count;
      target.bound = found.bound;
      part("understood").textContent = found.understood;
      part("count").textContent = found.count
        ? `This reaches ${wordsOf(found.count, found.shown)}${words.dataset.asksHow ? `: ${found.running} running, ${found.pending} pending` : ""}.`
        : "There is nothing that this can be done to: it may have ended meanwhile.";
      part("confirm").disabled = !found.count;
      part("confirm").textContent = `${words.dataset.title} ${wordsOf(found.count, found.shown)}`;
    } catch (error) {
      part("count").textContent = error.message;
    }
  }

  async function perform() {
    const how = form.elements.how.value, reason = form.elements.reason.value;
    const totals = { done: 0, refused: 0, why: [], newRuns: [] };
    let after = "";
    busy = true;
    part("confirm").disabled = true;
    part("progress").hidden = false;
    part("progress").max = target.count;
    part("progress").value = 0;
    part("stop").hidden = part("stop").disabled = false;
    part("stop").hidden = target.filter === undefined;
    try {
      do {
        const found = await post(`${target.act}/`, body({ how, reason, after, bound: target.bound }));
        totals.done += found.done;
        totals.refused += found.refused;
        totals.why.push(...found.why.slice(0, 5 - totals.why.length));
        totals.newRuns.push(...found.new_runs.slice(0, 5 - totals.newRuns.length));
        part("progress").value = totals.done + totals.refused;
        report(totals, found.next ? "So far" : "");
        after = found.next;
      } while (after && !stopped);
      report(totals, after ? "Stopped" : "");
    } catch (error) {
      report(totals, `${error.message} What was done before stays done`);
    }
    busy = false;
    part("confirm").hidden = part("stop").hidden = true;
    window.runyardConsole.selected.clear();
    window.runyardConsole.refresh();
    part("close").focus();
  }

  function report(totals, first) {
    const line = document.createElement("p");
    line.textContent = `${first ? first + ": " : ""}${wordsOf(totals.done)} ${target.words.dataset.done}${totals.refused ? `, ${totals.refused} not` : ""}.`;
    const list = document.createElement("ul");
    for (const why of totals.why) list.append(Object.assign(document.createElement("li"), { textContent: why }));
    for (const run of totals.newRuns) {
      const item = document.createElement("li");
      item.append("New run ", Object.assign(document.createElement("a"), { textContent: run, href: form.dataset.url.replace(/act\/$/, `${run}/change/`) }));
      list.append(item);
    }
    part("result").replaceChildren(line, list);
  }

  document.addEventListener("click", ({ target: clicked }) => {
    const button = clicked.closest("[data-act]");
    if (button && !button.disabled) open(button);
  });
  form.addEventListener("submit", (event) => { event.preventDefault(); if (!busy) perform(); });
  part("stop").addEventListener("click", () => { stopped = true; part("stop").disabled = true; });
  part("close").addEventListener("click", () => { stopped = true; dialog.close(); });
  dialog.addEventListener("cancel", () => { stopped = true; });
  dialog.addEventListener("close", () => {
    const back = document.getElementById(opener) ?? document.querySelector("#live a");
    back?.focus({ preventScroll: true });
  });
})();
