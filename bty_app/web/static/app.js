// What the pages do beyond htmx: nothing here is needed to use them.
"use strict";

// A tab that nobody looks at asks nothing.
document.addEventListener("htmx:beforeRequest", (event) => {
  if (document.hidden && event.target.id === "live") event.preventDefault();
});

// Text that is selected in the live part, to be copied, is not swept away.
document.addEventListener("htmx:beforeSwap", (event) => {
  const asked = event.detail.requestConfig.elt;
  const selection = document.getSelection();
  if (asked.id === "live" && selection.toString() && asked.contains(selection.anchorNode)) {
    event.detail.shouldSwap = false;
  }
});

// What was unfolded, or folded, stays so when the live part is renewed.
const folds = new Map();
document.addEventListener("htmx:beforeSwap", () => {
  for (const part of document.querySelectorAll("#live details[id]")) folds.set(part.id, part.open);
});
document.addEventListener("htmx:afterSwap", () => {
  for (const part of document.querySelectorAll("#live details[id]:not([hx-preserve])")) {
    if (folds.has(part.id)) part.open = folds.get(part.id);
  }
});

// The form lists the disks of when it was loaded.
document.addEventListener("htmx:afterSettle", () => {
  const live = document.getElementById("live");
  const form = document.querySelector("form[data-disks]");
  if (form && live) document.getElementById("stale").hidden = live.dataset.disks === form.dataset.disks;
});

// Say so when the server does not answer.
const offline = document.getElementById("offline");
document.addEventListener("htmx:sendError", () => { offline.hidden = false; });
document.addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.successful) offline.hidden = true;
});

// A serial that is typed takes the place of a chosen disk.
document.addEventListener("input", (event) => {
  const typed = document.querySelector("input[name=typed_serial]");
  if (!typed) return;
  if (event.target === typed && typed.value) {
    for (const choice of document.querySelectorAll("input[name=target_disk_serial]")) {
      choice.checked = false;
    }
  } else if (event.target.name === "target_disk_serial") {
    typed.value = "";
  }
});

// "/" goes to the search field, "?" shows the keys.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.target.matches("input, select, textarea")) return;
  const search = document.getElementById("search");
  if (event.key === "/" && search) {
    event.preventDefault();
    search.select();
  } else if (event.key === "?") {
    event.preventDefault();
    const keys = document.getElementById("keys");
    if (keys && !keys.open) keys.showModal();
  }
});
