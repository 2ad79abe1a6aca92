// ---- mouse, touch, keys -------------------------------------------------------------------------------------------
const picked = { person: -1, joint: -1 };
function pick(clip, points, event, canvas) { // -> picked
  const area = canvas.getBoundingClientRect(), x = event.clientX - area.left, y = event.clientY - area.top;
  let limit = event.pointerType === "touch" ? 26 : 14;
  picked.person = picked.joint = -1;
  for (let k = 0; k < clip.P * clip.J; k++) {
    const distance = Math.hypot(points[4 * k] - x, points[4 * k + 1] - y);
    if (distance < limit) { limit = distance; picked.person = Math.floor(k / clip.J); picked.joint = k % clip.J; }
  }
}
function hover(clip, i, j) {
  if (j === state.hover.joint && i === state.hover.person && (j < 0 || clip === state.hover.clip)) return;
  state.hover = { clip, person: i, joint: j };
  dirty = true;
}
function listen(canvas, stageOf, pointsOf, drag) { // clicks pick joints; drags go to `drag(dx, dy, zoom, move, at)`
  const fingers = new Map();
  let travelled = 0;
  const spread = () => {
    const [a, b] = [...fingers.values()];
    return [Math.hypot(a[0] - b[0], a[1] - b[1]), (a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
  };
  const place = (x, y) => {
    const box = canvas.getBoundingClientRect();
    return { stage: stageOf(), x: x - box.left, y: y - box.top };
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    if (fingers.size === 1) travelled = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const stage = stageOf(), last = fingers.get(event.pointerId);
    if (!stage) return;
    if (!last) { pick(stage.clip, pointsOf(stage), event, canvas); hover(stage.clip, picked.person, picked.joint); return; }
    const before = fingers.size === 2 ? spread() : null, dx = event.clientX - last[0], dy = event.clientY - last[1];
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    travelled += Math.abs(dx) + Math.abs(dy);
    if (!drag) return;
    if (before) {
      const now = spread();
      drag(now[1] - before[1], now[2] - before[2], now[0] / Math.max(1, before[0]), true, place(now[1], now[2]));
    } else if (travelled > 4) drag(dx, dy, 1, event.shiftKey || (event.buttons & 6) !== 0);
  });
  const release = (event) => {
    const stage = stageOf();
    if (fingers.delete(event.pointerId) && event.type === "pointerup" && travelled <= 4 && !fingers.size && stage) {
      pick(stage.clip, pointsOf(stage), event, canvas);
      pin(picked.person, picked.joint, stage.clip);
    }
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("pointerleave", () => hover(null, -1, -1));
  if (!drag) return;
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    drag(0, 0, Math.exp(-event.deltaY * (event.deltaMode ? 0.03 : 0.0015)), true, place(event.clientX, event.clientY));
  }, { passive: false });
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("dblclick", () => resetView());
}
[["", 0], ["-b", 1]].forEach(([end, k]) => {
  listen($("solid" + end), () => stages[k], (stage) => stage.clip.onSolid, orbit);
  listen($("flat" + end), () => stages[k], (stage) => stage.clip.onFlat, null);
});
function tip(event, text) {
  const node = $("tip");
  node.hidden = !text;
  if (!text) return;
  put(node, text);
  node.style.left = `${Math.max(6, Math.min(innerWidth - node.offsetWidth - 6, event.clientX + 12))}px`;
  node.style.top = `${Math.max(6, event.clientY - node.offsetHeight - 12)}px`;
}
function stretchesAt(f, margin) { // in words, those of everybody who counts; a thin band can be met, too
  const found = [];
  for (let i = 0; i < P; i++) if (data.people[i].trust && A.counts(i)) for (const stretch of data.people[i].trust.stretches)
    if (stretch[0] - margin <= f && f <= stretch[1] + margin) found.push(doubtText(A, i, stretch));
  return found.join("\n");
}
for (const id of ["strip", "chart"]) {
  const canvas = $(id);
  const frame = (event) => {
    const area = canvas.getBoundingClientRect();
    return frameUnder(event.clientX - area.left - 1, area.width - 2);
  };
  let from = -1;
  const scrub = (event) => {
    play(false);
    if (event.shiftKey && event.type === "pointerdown") from = frame(event);
    if (event.shiftKey && from >= 0 && Math.abs(frame(event) - from) > 1) choosePart(from, frame(event));
    seek(frame(event));
  };
  canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); scrub(event); });
  canvas.addEventListener("pointermove", (event) => {
    if (event.buttons) scrub(event);
    if (id === "chart") { state.hair = frame(event); dirty = true; }
    else {
      const f = frame(event), margin = Math.ceil((2 * F) / Math.max(1, areas.strip.w));
      tip(event, stretchesAt(f, margin) || `frame ${f}, ${clock(times[f])}${A.seen(f) ? "" : ", not seen"}`);
    }
  });
  canvas.addEventListener("pointerleave", () => { tip(null, ""); state.hair = -1; dirty = true; });
}

const toggleTheme = () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
const toggle = (key) => () => { state[key] = !state[key]; dirty = true; };
const toggleErrors = () => { state.errors = clips.some((clip) => clip.expecting) && !state.errors; dirty = true; };
const toggleSpace = () => setSpace(state.space === "path" ? "pelvis" : "path");
const showHelp = () => { $("about-dialog").showModal(); $("about-dialog").scrollTop = 0; };
const resetView = () => setView(state.view || state.began);
const toggleOther = () => { if (clips.length > 1) closeOther(); else $("other").click(); };
const toggleFacing = () => { state.facing = !state.facing; press("facing", state.facing); dirty = true; };
const turnBy = (dx, dy) => orbit(dx, dy, 1, false);
$("play").onclick = () => play(!state.playing);
$("back").onclick = () => step(-1);
$("next").onclick = () => step(1);
$("speed").onchange = () => setSpeed(0);
$("theme").onclick = toggleTheme;
$("crop").onclick = toggle("crop");
$("backdrop").onclick = toggle("backdrop");
$("follow").onclick = toggle("follow");
$("reset").onclick = resetView;
$("space-mode").onclick = toggleSpace;
$("part-from").onclick = partFrom;
$("part-to").onclick = partTo;
$("part-all").onclick = () => choosePart(null);
$("facing").onclick = toggleFacing;
$("errors").onclick = toggleErrors;
$("plot").onclick = () => setPlots(!state.plots);
$("choose").onclick = () => $("file").click();
$("file").onchange = () => { if ($("file").files.length) video.open($("file").files[0]); };
$("angle").onchange = stale;
$("help").onclick = showHelp;
$("problem-back").onclick = () => toProblem(-1);
$("problem-next").onclick = () => toProblem(1);
const viewButtons = [...document.querySelectorAll("[data-view]")];
viewButtons.forEach((b) => { b.onclick = () => setView(b.dataset.view); });
addEventListener("pointerdown", (event) => { if (!$("save").contains(event.target)) $("save").open = false; });
const KEYS = {
  " ": () => play(!state.playing), ArrowLeft: (e) => step(e.shiftKey ? -10 : -1),
  ArrowRight: (e) => step(e.shiftKey ? 10 : 1), Home: () => step(-F), End: () => step(F),
  "+": () => setSpeed(1), "=": () => setSpeed(1), "-": () => setSpeed(-1),
  1: () => setView("free"), 2: () => setView("camera"), 3: () => setView("side"), 4: () => setView("top"), r: resetView,
  i: partFrom, u: partTo, l: () => choosePart(null), n: () => toProblem(1), p: () => toProblem(-1),
  g: toggle("grid"), c: toggle("crop"), t: toggleTheme, b: toggle("backdrop"), f: toggle("follow"), m: toggleSpace,
  e: toggleErrors, x: toggleOther, h: toggleFacing, ",": () => nudge(-1), ".": () => nudge(1),
  o: () => $("file").click(), v: () => setPlots(!state.plots), "[": () => nextJoint(-1), "]": () => nextJoint(1),
  w: () => { if (P > 1) choosePerson(A.person + 1 < P ? A.person + 1 : -1); }, "?": showHelp,
};
const ARROWS = { ArrowLeft: [-30, 0], ArrowRight: [30, 0], ArrowUp: [0, -20], ArrowDown: [0, 20] };
addEventListener("keydown", (event) => {
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key, tag = event.target.tagName;
  const typing = tag === "SELECT" || tag === "INPUT" || (["BUTTON", "SUMMARY"].includes(tag) && key === " ");
  if (key === "Escape") { $("save").open = false; complain(""); }
  if (typing || event.ctrlKey || event.metaKey || event.altKey || $("about-dialog").open) return;
  if (ARROWS[key] && event.shiftKey && tag === "CANVAS" && event.target.id.startsWith("solid")) turnBy(...ARROWS[key]);
  else if (KEYS[key]) KEYS[key](event);
  else return;
  event.preventDefault();
});
