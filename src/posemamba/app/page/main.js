// The page: which part is shown, and what the server tells, again and again.
import { ask } from "./api.js";
import { $, say } from "./dom.js";
import * as job from "./job.js";
import * as start from "./start.js";

const OFTEN = 700, SELDOM = 4000; // milliseconds between two questions, while something is at work and while nothing is
let timer = 0, jobs = [], begun = false, asking = null;

if (location.search) history.replaceState(null, "", location.pathname + location.hash); // the token stays out of sight

function banner(text) {
  if ($("banner").textContent === text) return;
  $("banner").textContent = text;
  $("banner").hidden = !text;
}

async function refresh() {
  clearTimeout(timer);
  asking = (async () => {
    try {
      if (!begun) {
        const state = await ask("/api/state");
        $("to-live").hidden = !state.live;
        start.begin(state, refresh);
        job.begin(state, refresh);
        begun = true;
      }
      ({ jobs } = await ask("/api/jobs"));
      banner("");
      await draw();
    } catch (error) {
      if (error.status === 403) banner("This page is closed: open the address that posemamba app printed.");
      else if (error.status === undefined) banner("The server does not answer. Start posemamba app again; this page then goes on by itself.");
      else banner(error.message);
    }
  })();
  await asking;
  clearTimeout(timer);
  const busy = jobs.some((one) => one.state === "running" || one.state === "waiting");
  timer = setTimeout(refresh, busy ? OFTEN : SELDOM);
}

async function draw() {
  if (!begun) return;
  const found = /^#\/job\/([0-9a-f]{16})$/.exec(location.hash);
  $("start").hidden = !!found;
  $("job").hidden = !found;
  $("to-start").toggleAttribute("aria-current", !found);
  start.show(jobs);
  if (found) await job.show(jobs.find((one) => one.id === found[1]) || null);
}

addEventListener("hashchange", async () => {
  job.leave();
  say("");
  document.title = "PoseMamba";
  await draw();
  if (!$("start").hidden) $("start").querySelector("h1").focus();
  scrollTo(0, 0);
});
addEventListener("theme", () => { // the result page follows
  const frame = document.querySelector("iframe");
  if (frame) frame.src = frame.src.replace(/theme=\w+/g, `theme=${document.documentElement.dataset.theme}`);
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
refresh();
