// One job: progress, the choice of the person, and the result.
import { ask } from "./api.js";
import { $, badge, bytes, duration, h, say, svg } from "./dom.js";
import { OptionsForm } from "./form.js";
import { remove, share } from "./start.js";

const STAGES = {
  "": "Starting", "finding joints": "Finding the joints in the pictures", lifting: "Lifting to 3D", refining: "Refining",
  drawing: "Drawing the overlay", people: "Making the pictures of the people", page: "Making the result page", writing: "Writing the files",
};
const FILES = [ // what a file is, in the order in which they are shown
  [/^angles(_\d+)?\.csv$/, "Angles", "CSV"], [/^poses(_\d+)?\.csv$/, "Joints", "CSV"], [/\.tidy\.csv$/, "Joints, tidy", "CSV"],
  [/\.trc$/, "OpenSim", "TRC"], [/\.bvh$/, "Animation", "BVH"], [/\.glb$/, "Animated body", "glTF"],
  [/^overlay\.mp4$/, "Overlay video", "MP4"], [/^overlay\.png$/, "Overlay", "PNG"],
];
const OTHERS = [
  [/^viewer\.html$/, "Result page", "HTML"],
  [/^poses(_\d+)?\.npz$/, "Poses", "NPZ"], [/^poses(_\d+)?\.json$/, "Poses", "JSON"],
  [/^keypoints\.npz$/, "2D joints", "NPZ"], [/^people\.jpg$/, "Who is who", "JPG"],
];
let server = null, changed = () => {};
let shown = ""; // what is drawn, so that it is drawn anew only if that changed
let spoken = "";

export function begin(state, refresh) { server = state; changed = refresh; }

export function leave() { shown = ""; spoken = ""; $("job").replaceChildren(); }

/** Show a job of the list; null: it is gone. */
export async function show(job) {
  const key = job && JSON.stringify([job.id, job.state, job.state === "running" ? 0 : job]);
  if (key && key === shown) {
    if (job.state === "running") progress(job);
    return;
  }
  if (!job) {
    shown = "";
    $("job").replaceChildren(back(), h("h1", { tabindex: -1 }, "This result is gone"), h("p", {}, "It was removed."));
    return;
  }
  let whole = job;
  try { whole = await ask(`/api/jobs/${job.id}`); } catch (error) { if (error.status !== 404) throw error; }
  if (location.hash !== `#/job/${job.id}`) return; // another page was opened in between
  const first = !shown.startsWith(JSON.stringify([job.id]).slice(0, -1)), before = shown;
  shown = key;
  const parts = { waiting, running, choose, done, failed, cancelled, new: fresh }[whole.state](whole);
  $("job").className = whole.state;
  const people = whole.result.people || [];
  $("job").replaceChildren(
    back(),
    h("div", { class: "title" }, h("h1", { tabindex: -1 }, whole.name), whole.state === "done" && people.length === 1 ? badge(people[0].word) : "",
      whole.state === "done" && whole.result.frames ? h("span", { class: "soft" }, `${whole.result.frames} frames, ${whole.result.seconds.toFixed(1)} s`) : ""),
    ...parts.filter((part) => part !== ""));
  document.title = `${whole.name}: PoseMamba`;
  if (first || before) $("job").querySelector("h1").focus({ preventScroll: !first });
  if (whole.state === "running") progress(job);
  else if (!first) say(`${whole.name}: ${{ done: "done", failed: "failed", cancelled: "stopped", choose: "choose the person", waiting: "waits" }[whole.state] || ""}`);
}

const back = () => h("p", { class: "back" }, h("a", { href: "#/" }, "← All results"));
const act = (job, what, body = {}) => async (event) => {
  const button = event.currentTarget;
  button.disabled = true;
  try { await ask(`/api/jobs/${job.id}/${what}`, "POST", body); await changed(); }
  catch (error) { complain(error.message); button.disabled = false; }
};
const removal = (job) => h("button", { onclick: async () => { if (await remove(job, true)) location.hash = "#/"; } }, "Remove");
const errorLine = () => h("p", { id: "job-error", class: "error", role: "alert", hidden: true });
function complain(text) { $("job-error").textContent = text; $("job-error").hidden = !text; }

function fresh(job) {
  return [h("p", {}, "This file is uploaded and not started."), h("p", { class: "actions" }, h("a", { class: "button strong", href: "#/" }, "Set its options and start"), removal(job))];
}

function waiting(job) {
  return [h("section", { class: "card" }, h("p", { class: "big" }, job.before ? `Waits for its turn: ${job.before} before it` : "Begins in a moment"), h("progress", { max: 1, "aria-label": "waiting" }),
    errorLine(), h("p", { class: "actions" }, h("button", { onclick: act(job, "cancel") }, "Stop")))];
}

function running(job) {
  return [h("section", { class: "card", id: "work" },
    h("p", { class: "big", id: "stage" }), h("progress", { max: 1, id: "all", "aria-labelledby": "stage" }),
    h("p", { class: "soft between" }, h("span", { id: "frames" }), h("span", { id: "left" })),
    errorLine(), h("p", { class: "actions" }, h("button", { onclick: act(job, "cancel") }, "Stop"), h("span", { class: "soft" }, "You can close this page; the work goes on."))),
    ...notes(job)];
}

function progress(job) {
  const stage = STAGES[job.stage] ?? job.stage, bar = $("all");
  if (!bar) return;
  $("stage").textContent = stage;
  $("frames").textContent = job.total ? `frame ${Math.min(job.done, job.total)} of ${job.total}` : "";
  $("left").textContent = job.left ? `about ${duration(job.left)} left` : "";
  const { value } = share(job);
  if (value === undefined) bar.removeAttribute("value"); else bar.value = value;
  const quarter = value === undefined ? 0 : Math.floor(4 * value);
  const now = `${stage}${quarter ? `, ${25 * quarter} percent` : ""}`;
  if (now !== spoken) { spoken = now; say(now); }
}

function notes(job) {
  return job.notes.length ? [h("ul", { class: "notes", "aria-label": "notes" }, job.notes.map((note) => h("li", {}, note)))] : [];
}

function failed(job) {
  return [h("section", { class: "card failed" }, h("p", { class: "big" }, "This could not be lifted"), h("p", { class: "error message" }, job.message), errorLine(),
    h("p", { class: "actions" }, h("button", { class: "strong", onclick: act(job, "continue") }, "Try again"), removal(job))), ...notes(job), again(job)];
}

function cancelled(job) {
  return [h("section", { class: "card" }, h("p", { class: "big" }, "Stopped"), h("p", { class: "soft" }, "What was found so far is kept; it goes on from there."), errorLine(),
    h("p", { class: "actions" }, h("button", { class: "strong", onclick: act(job, "continue") }, "Go on"), removal(job))), ...notes(job), again(job)];
}

// ---- who

function choose(job) {
  return [h("section", { "aria-labelledby": "who" }, h("h2", { id: "who" }, `${job.people.length} people: choose who to lift`), errorLine(), h("div", { class: "people" }, job.people.map((person) => card(job, person))),
    h("p", { class: "actions" }, h("button", { onclick: act(job, "choose", { person: "all" }) }, "Everybody"), removal(job)))];
}

function card(job, person) {
  const side = person.sides.length ? `on the ${person.sides.join(" and ")}` : "";
  const seen = person.of > 1 ? `seen in ${person.frames} of ${person.of} frames` : "";
  const time = person.begin !== undefined && person.of > 1 ? `${person.begin.toFixed(1)} s to ${person.end.toFixed(1)} s` : "";
  const chosen = job.person === String(person.person);
  const button = h("button", { class: "person", "aria-pressed": chosen ? "true" : false, onclick: act(job, "choose", { person: String(person.person) }) },
    h("span", { class: "who" }, h("b", {}, `Person ${person.person}`), [side, seen, time].filter(Boolean).map((text) => h("span", { class: "soft" }, text))));
  if (person.place && job.files["people.jpg"]) strip(button, `/jobs/${job.id}/people.jpg`, person);
  return button;
}

function strip(button, address, person) { // this person's row of the contact sheet
  const image = new Image();
  image.addEventListener("load", () => {
    let [left, top, height] = person.place;
    if (matchMedia("(max-width: 760px)").matches) left = Math.max(left, image.naturalWidth - 4 * (height + 16)); // close up alone
    const width = image.naturalWidth - 16 - left;
    button.append(svg("svg", { viewBox: `${left} ${top} ${width} ${height}`, role: "img", "aria-label": `pictures of person ${person.person}`, class: "strip" },
      svg("image", { href: address, width: image.naturalWidth, height: image.naturalHeight })));
  });
  image.src = address;
}

// ---- the result

function links(job, kinds) {
  return kinds.flatMap(([pattern, words, kind]) => Object.keys(job.files).filter((name) => pattern.test(name)).map((name) => {
    const number = /_(\d+)\./.exec(name);
    return h("a", { class: "button", href: `/jobs/${job.id}/${name}?save`, download: true, title: `${name}, ${bytes(job.files[name])}` },
      `${words}${number ? ` ${number[1]}` : ""}`, h("small", {}, kind));
  }));
}

function done(job) {
  const files = Object.keys(job.files), base = `/jobs/${job.id}`;
  const parts = [];
  for (const person of job.result.people || []) {
    if (job.result.people.length < 2 && files.includes("viewer.html")) break; // the result page says it
    parts.push(h("p", { class: "verdict" }, h("b", {}, `Person ${person.person}`), badge(person.word), h("span", {}, person.sentence)));
  }
  parts.push(...notes(job));
  parts.push(h("section", { class: "downloads", "aria-label": "downloads" },
    h("a", { class: "button strong", href: `${base}/all.zip`, download: true }, `Everything (ZIP, ${bytes(Object.values(job.files).reduce((a, b) => a + b, 0))})`),
    ...links(job, FILES),
    h("details", { class: "others" }, h("summary", {}, "Other files"), h("div", {}, links(job, OTHERS)))));
  if (files.includes("viewer.html")) {
    const address = `${base}/viewer.html?theme=${document.documentElement.dataset.theme}#theme=${document.documentElement.dataset.theme}`;
    parts.push(h("section", { class: "viewer", "aria-label": "result" },
      h("iframe", { src: address, title: `3D poses of ${job.name}`, sandbox: "allow-scripts allow-downloads allow-modals", allow: "fullscreen" }),
      h("p", { class: "soft" }, h("a", { href: address, target: "_blank", rel: "noopener" }, "Open in a page of its own"))));
  }
  if (job.people.length > 1) {
    parts.push(h("details", { class: "more" }, h("summary", {}, `${job.people.length} people are in the picture: choose another`), errorLine(), h("div", { class: "people" }, job.people.map((person) => card(job, person))),
      h("p", { class: "actions" }, h("button", { onclick: act(job, "choose", { person: "all" }) }, "Everybody"))));
  }
  parts.push(again(job), h("p", { class: "actions" }, removal(job)));
  return parts;
}

function again(job) { // the options, and the same file once more
  if (!Object.keys(job.options).length) return "";
  const element = h("form", { novalidate: true }), error = h("p", { class: "error", role: "alert", hidden: true });
  const form = new OptionsForm(element, server.form, job.options);
  form.showFor(new Set([job.kind]));
  form.more.open = true;
  const lift = h("button", { class: "strong", onclick: async () => {
    error.hidden = true;
    lift.disabled = true;
    try { await ask("/api/start", "POST", { jobs: [job.id], options: form.values }); await changed(); }
    catch (refused) { error.textContent = refused.message; error.hidden = false; lift.disabled = false; }
  } }, "Lift again");
  return h("details", { class: "more again" }, h("summary", {}, "Change the options and lift again"), element, error, h("p", { class: "actions" }, lift));
}
