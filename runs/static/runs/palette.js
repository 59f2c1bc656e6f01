// The command palette (Ctrl-K): Enter opens the first result, also if it comes after the key; the arrows still choose.
(() => {
  "use strict";
  const INPUT = "search-input-command";
  let shownFor = null; // the term whose results are there
  let opens = false;
  let awaited = null; // the term that Enter was pressed for

  const results = () => document.querySelectorAll("#command-results-list > li");
  const press = (input, key) => input.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));

  document.addEventListener("keydown", (event) => {
    if (opens || event.target.id !== INPUT || event.key !== "Enter" || event.metaKey || event.ctrlKey) return;
    const input = event.target;
    const isShown = shownFor === input.value && results().length > 0;
    if (isShown && document.querySelector("#command-results-list > li.active")) return;
    event.preventDefault();
    event.stopPropagation(); // nothing is chosen: what listens on the input would fail
    if (isShown) open(input);
    else awaited = input.value.trim() ? input.value : null;
  }, true);

  // The first result becomes the chosen one, as by the arrow key; Enter then finds it chosen.
  function open(input) {
    press(input, "ArrowDown");
    opens = true;
    press(input, "Enter");
    opens = false;
  }

  document.addEventListener("input", ({ target }) => { if (target.id === INPUT && target.value !== awaited) awaited = null; });
  document.addEventListener("htmx:afterSettle", ({ detail }) => {
    const input = document.getElementById(INPUT);
    if (!input || detail.elt?.id !== "command-results" && !detail.target?.id?.startsWith("command-results")) return;
    shownFor = detail.requestConfig?.parameters?.s ?? input.value;
    if (awaited === null || awaited !== input.value || shownFor !== awaited) return;
    awaited = null;
    if (results().length) open(input);
  });
})();
