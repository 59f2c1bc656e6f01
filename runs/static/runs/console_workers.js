// The dialog of an action on a worker: what it does, and why it is done.
(() => {
  "use strict";
  const dialog = document.getElementById("act");
  if (!dialog) return;
  const form = dialog.querySelector("form");
  const actions = Object.fromEntries([...document.querySelectorAll("template[data-worker-action]")].map((one) => [one.dataset.workerAction, one]));
  let opener = "";

  function open(button) {
    const words = actions[button.dataset.workerAct];
    opener = button.id;
    form.reset();
    form.action = button.dataset.url;
    form.querySelector("h2").textContent = `${words.dataset.title} worker ${button.dataset.host}?`;
    form.querySelector("[data-explanation]").textContent = words.content.textContent;
    form.querySelector("[data-confirm]").textContent = words.dataset.title;
    form.elements.reason.value = `${words.dataset.done} by ${form.dataset.operator}`;
    dialog.showModal();
    form.elements.reason.focus();
  }

  document.addEventListener("click", ({ target }) => {
    const button = target.closest("[data-worker-act]");
    if (button) open(button);
  });
  form.addEventListener("submit", () => { form.querySelector("[data-confirm]").disabled = true; });
  window.addEventListener("pageshow", () => { form.querySelector("[data-confirm]").disabled = false; });
  form.querySelector("[data-close]").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => document.getElementById(opener)?.focus({ preventScroll: true }));
})();
