// Puts a fresh <main> in place of the old one every few seconds, and says so when the centre does not answer.
"use strict";

const EVERY_MS = 5000;
const PATIENCE_MS = 8000;

async function refresh() {
  try {
    const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!answer.ok) throw new Error(answer.status);
    replaceMain(new DOMParser().parseFromString(await answer.text(), "text/html"));
    document.getElementById("unreachable").hidden = true;
  } catch {
    document.getElementById("unreachable").hidden = false;
  }
  setTimeout(refresh, EVERY_MS);
}

function replaceMain(fresh) {
  if (!getSelection().isCollapsed) return; // somebody is copying text out of it
  const focused = document.activeElement.id;
  document.querySelector("main").replaceWith(fresh.querySelector("main"));
  document.title = fresh.title;
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

setTimeout(refresh, EVERY_MS);
