// The start: files that are dropped, their options, and the list of results.
import { ask, upload } from "./api.js";
import { $, badge, bytes, confirmRemoval, duration, h, say, when } from "./dom.js";
import { OptionsForm } from "./form.js";

let server = null, form = null, changed = () => {};
const sending = new Map(); // a number: { file, share, error, promise, of }
let count = 0, chain = Promise.resolve();
let listed = ""; // what the lists show, so that they are drawn anew only if that changed
let later = []; // new jobs, as the server tells

// Files can be dropped as soon as the page is there: else the browser would open them in its place.
const early = [];
$("pick").addEventListener("click", () => $("files").click());
$("files").addEventListener("change", () => { add([...$("files").files]); $("files").value = ""; });
let depth = 0;
const here = (event) => event.dataTransfer?.types.includes("Files");
addEventListener("dragenter", (event) => { if (here(event)) { depth += 1; $("drop-here").hidden = false; event.preventDefault(); } });
addEventListener("dragover", (event) => { if (here(event)) event.preventDefault(); });
addEventListener("dragleave", (event) => { if (here(event) && --depth <= 0) { depth = 0; $("drop-here").hidden = true; } });
addEventListener("drop", (event) => {
  if (!here(event)) return;
  event.preventDefault();
  depth = 0;
  $("drop-here").hidden = true;
  location.hash = "#/";
  const folders = [...event.dataTransfer.items].filter((item) => item.webkitGetAsEntry?.()?.isDirectory).length;
  add([...event.dataTransfer.files], folders);
});

/** Set the page up. `refresh` is called when the list of jobs is no longer right. */
export function begin(state, refresh) {
  server = state;
  changed = refresh;
  form = new OptionsForm($("options"), state.form);
  const accepted = Object.keys(state.suffixes);
  $("files").accept = ["video/*", ...accepted].join(",");
  $("drop-note").textContent = `Videos, pictures, and keypoint files (${accepted.filter((suffix) => state.suffixes[suffix] === "keypoints").join(" ")}), up to ${bytes(state.largest)} each. They stay on this computer.`;
  $("about").textContent = `PoseMamba ${state.version}. Files and results are in ${state.folder}; ${bytes(state.free)} are free there.`;
  $("go").addEventListener("click", start);
  for (const [files, folders] of early.splice(0)) add(files, folders);
  addEventListener("beforeunload", (event) => { if ([...sending.values()].some((one) => !one.error)) event.preventDefault(); });
}

function reason(file, kinds) { // why a file cannot be taken, before it is sent; the server checks again
  const suffix = (/\.[^.]*$/.exec(file.name) || [""])[0].toLowerCase();
  if (!kinds.includes(server.suffixes[suffix])) return `${file.name}: is no ${kinds.length === 1 ? "video" : "video, picture or keypoint file"} that can be read`;
  if (file.size === 0) return `${file.name}: is empty`;
  if (file.size > server.largest) return `${file.name}: has ${bytes(file.size)}, more than the ${bytes(server.largest)} that are allowed`;
  if (file.size > server.free) return `${file.name}: has ${bytes(file.size)}, and the disk has only ${bytes(server.free)} left; make room`;
  return "";
}

function add(files, folders = 0) {
  if (!server) { early.push([files, folders]); return; }
  if (folders) complain("Folders cannot be dropped; drop the files that are in them.");
  for (const file of files) {
    if (folders && file.size % 4096 === 0 && !/\.[^.]+$/.test(file.name)) continue; // a folder, as browsers show it
    send(file, "/api/files", ["video", "pictures", "keypoints"], null);
  }
}

function send(file, path, kinds, of) {
  const key = (count += 1), one = { file, share: 0, error: reason(file, kinds), promise: null, of };
  sending.set(key, one);
  draw();
  if (one.error) return;
  chain = chain.then(async () => {
    if (!sending.has(key)) return;
    one.promise = upload(path, file, (share) => { one.share = share; progress(key, one); });
    try {
      await one.promise;
      sending.delete(key);
      say(`${file.name} is there`);
      await changed();
    } catch (error) {
      one.error = error.message;
      if (!one.error) sending.delete(key);
    }
    draw();
  });
}

function progress(key, one) {
  const bar = document.querySelector(`[data-sending="${key}"] progress`);
  if (bar) { bar.value = one.share; bar.nextElementSibling.textContent = `${Math.floor(100 * one.share)} %`; }
}

function dropSending(key) {
  const one = sending.get(key);
  sending.delete(key);
  one?.promise?.cancel();
  draw();
}

function sendingRow([key, one]) {
  return h("li", { "data-sending": key, class: one.error ? "failed" : "" },
    h("span", { class: "name" }, one.of ? `${one.file.name}, the video of ${one.of}` : one.file.name),
    one.error ? h("span", { class: "error", role: "alert" }, one.error)
      : h("span", { class: "bar" }, h("progress", { value: one.share, max: 1, "aria-label": `upload of ${one.file.name}` }), h("span", { class: "number" }, "0 %")),
    h("button", { onclick: () => dropSending(key), "aria-label": `${one.error ? "dismiss" : "stop"} ${one.file.name}` }, one.error ? "Dismiss" : "Stop"));
}

function newRow(job) {
  const words = { video: "video", keypoints: "2D keypoints", pictures: "picture" };
  const row = h("li", { "data-job": job.id },
    h("span", { class: "name" }, job.name),
    h("span", { class: "soft" }, `${words[job.kind]}, ${bytes(job.size)}${job.video ? `, with ${job.video}` : ""}`));
  if (job.kind === "keypoints") {
    const input = h("input", { type: "file", accept: "video/*,.mkv", hidden: true, "aria-label": `video of ${job.name}`,
      onchange: () => { if (input.files[0]) send(input.files[0], `/api/jobs/${job.id}/video`, ["video"], job.name); } });
    row.append(input, h("button", { onclick: () => input.click(), title: "for the size of the picture, the frame rate and an overlay" }, job.video ? "Other video…" : "Its video…"));
  }
  row.append(h("button", { "aria-label": `remove ${job.name}`, onclick: () => remove(job, false) }, "Remove"));
  return row;
}

export function stateWords(job) {
  if (job.state === "waiting") return job.before ? `waits for its turn, ${job.before} before it` : "begins";
  if (job.state === "running") return job.left ? `at work, about ${duration(job.left)} left` : "at work";
  return { choose: "choose the person", done: "done", failed: "failed", cancelled: "stopped" }[job.state] || "";
}

function resultRow(job) {
  const people = job.result.people || [];
  const facts = job.state === "done" && job.result.frames
    ? `${job.result.frames} frames${people.length > 1 ? `, ${people.length} people` : ""}` : stateWords(job);
  return h("li", { "data-job": job.id, class: job.state },
    h("a", { class: "name", href: `#/job/${job.id}` }, job.name),
    job.state === "done" && people.length ? badge(people[0].word) : "",
    job.state === "running" ? h("progress", { max: 1, "aria-label": `progress of ${job.name}`, ...share(job) }) : "",
    h("span", { class: job.state === "failed" ? "error" : job.state === "choose" ? "call" : "soft" }, facts),
    h("time", { class: "soft", datetime: new Date(job.created * 1000).toISOString() }, when(job.created)),
    h("button", { onclick: () => remove(job, true), "aria-label": `remove ${job.name}` }, "Remove"));
}

/** The share of a job that is done, as far as it is known. */
export function share(job) {
  const past = Date.now() / 1000 - job.begun;
  return job.left === null || job.left === undefined ? {} : { value: Math.max(0, Math.min(0.99, past / (past + job.left))) };
}

export async function remove(job, asked) {
  if (asked && !(await confirmRemoval(`Remove ${job.name}, its upload and its results?`))) return false;
  try { await ask(`/api/jobs/${job.id}`, "DELETE"); } catch (error) { complain(error.message); return false; }
  await changed();
  return true;
}

/** Show the jobs. */
export function show(jobs) {
  later = jobs.filter((job) => job.state === "new").reverse();
  const results = jobs.filter((job) => job.state !== "new");
  const now = JSON.stringify([later, results.map((job) => ({ ...job, left: job.left && duration(job.left), done: 0 }))]);
  if (now === listed) {
    for (const job of results) { // bars move without the rows being made anew, which would take the focus away
      const bar = document.querySelector(`#list [data-job="${job.id}"] progress`), { value } = share(job);
      if (bar && value !== undefined) bar.value = value;
    }
    return;
  }
  listed = now;
  const focused = document.activeElement?.closest?.("#list [data-job]")?.dataset.job, tag = document.activeElement?.tagName;
  $("list").replaceChildren(...results.map(resultRow));
  if (focused) document.querySelector(`#list [data-job="${focused}"] ${tag}`)?.focus();
  $("nothing").hidden = results.length > 0;
  draw();
}

function draw() {
  const rows = [...later.map(newRow), ...[...sending].map(sendingRow)];
  $("new-list").replaceChildren(...rows);
  $("new").hidden = rows.length === 0;
  form.showFor(new Set(later.length ? later.map((job) => job.kind) : ["video"]));
  const open = [...sending.values()].filter((one) => !one.error).length;
  $("options").hidden = $("go").hidden = open === 0 && later.length === 0; // only refused ones are left
  $("go").disabled = open > 0 || later.length === 0;
  $("go").textContent = open ? "Uploading…" : later.length > 1 ? `Lift ${later.length} files` : "Lift to 3D";
}

function complain(text) {
  $("start-error").textContent = text;
  $("start-error").hidden = !text;
  if (text) { $("new").hidden = false; $("start-error").scrollIntoView({ block: "nearest" }); }
}

async function start() {
  complain("");
  $("go").disabled = true;
  try {
    const { jobs } = await ask("/api/start", "POST", { jobs: later.map((job) => job.id), options: form.values });
    await changed();
    if (jobs.length === 1) location.hash = `#/job/${jobs[0].id}`;
    else $("list-title").scrollIntoView();
  } catch (error) {
    complain(error.message);
    $("go").disabled = false;
  }
}
