// ---- panels -------------------------------------------------------------------------------------------------------
const areas = {};
for (const id of ["flat", "solid", "strip", "chart"]) areas[id] = newArea($(id));
function newArea(canvas) { return { canvas, c: canvas.getContext("2d"), w: 1, h: 1, rows: 0 }; }
const renderers = {}; // by the canvas: a context of WebGL is made once
function newStage(clip, own, end) {
  areas["flat" + end] ||= newArea($("flat" + end));
  areas["solid" + end] ||= newArea($("solid" + end));
  const renderer = (renderers[end] ||= new Renderer($("gl" + end)));
  if (!renderer.gl) renderer.canvas.hidden = true;
  return { clip, pictures: own, flat: areas["flat" + end], area: areas["solid" + end], renderer, eye: newEye() };
}
let fineness = 1; // pixels of WebGL for one of the screen
function coarser() { // the computer is too slow: half the pixels, then the canvas instead of WebGL
  if (fineness === 1) fineness = 0.5;
  else for (const renderer of Object.values(renderers)) { renderer.gl = null; renderer.canvas.hidden = true; }
  resize();
}
function resize() { // crisp on any screen: one canvas pixel for one device pixel
  const ratio = devicePixelRatio || 1;
  for (const area of Object.values(areas)) {
    area.w = area.canvas.clientWidth; area.h = area.canvas.clientHeight;
    const W = Math.max(1, Math.round(area.w * ratio)), H = Math.max(1, Math.round(area.h * ratio));
    if (area.canvas.width !== W || area.canvas.height !== H) { area.canvas.width = W; area.canvas.height = H; }
    area.c.setTransform(ratio, 0, 0, ratio, 0, 0);
    area.c.lineCap = area.c.lineJoin = "round";
  }
  for (const { area, renderer } of stages) {
    renderer.canvas.width = Math.round(area.canvas.width * fineness); renderer.canvas.height = Math.round(area.canvas.height * fineness);
  }
  // the body and the picture stay below the buttons, which take several rows where the panel is narrow
  const rowsOf = (id, least) => { const views = $(id).parentElement.querySelector(".views"); return Math.max(least, views.offsetHeight); };
  areas.solid.rows = Math.max(0, rowsOf("solid", 0) - 30);
  document.body.style.setProperty("--below", `${areas.solid.rows + (innerWidth > 760 ? 54 : 60)}px`);
  areas.flat.rows = rowsOf("flat", 30) + 14;
  for (const [id, rows] of [["flat-b", 30], ["solid-b", areas.solid.rows]]) if (areas[id]) areas[id].rows = rows;
  stale();
}

// ---- words --------------------------------------------------------------------------------------------------------
function clock(seconds) {
  const m = Math.floor(seconds / 60);
  return `${m}:${(seconds - 60 * m).toFixed(2).padStart(5, "0")}`;
}
function describe() { // the joint under the pointer, or the picked one
  const { clip, person: i, joint: j } = state.hover.joint >= 0 ? state.hover : state.pin;
  if (!clip || j < 0) return "";
  const f = frameOf(clip), who = clip === A ? "" : "B, ";
  const name = who + (clip.P > 1 ? `person ${clip.data.people[i].number}, ` : "") + spoken(clip.data.joints[j]);
  if (f < 0 || !clip.seenBy(i, f)) return `${name}\nnot seen`;
  if (!(SPACES[state.space].still ? clip.point3(i, f, j) : clip.placed3(i, f, j))) return `${name}\nnot found`;
  const [x, y, z] = Array.from(point, (v) => v.toFixed(3));
  const flat = clip.point2(i, f, j) ? `${point[0].toFixed(1)}, ${point[1].toFixed(1)} px` : "not found";
  let text = `${name}\nx ${x}   y ${y}   z ${z} m\n2D ${flat}\nconfidence ${clip.sure(i, f, j).toFixed(2)}`;
  const off = clip.expecting ? clip.errorAt(i, f, j) : NaN;
  if (off > 0) text += `\nexpected error ${off.toFixed(0)} mm`;
  for (const angle of clip.data.people[i].angles)
    if (angle.name.startsWith(clip.data.joints[j] + "_")) text += `\n${spoken(angle.name)} ${angleText(angle, f)}`;
  return text;
}
function describePeople() {
  const row = $("people"), theme = document.documentElement.dataset.theme;
  row.hidden = P === 1;
  row.replaceChildren(...[-1, ...data.people.keys()].map((i) => {
    const button = document.createElement("button"), mark = document.createElement("i"), trust = i >= 0 && data.people[i].trust;
    if (i >= 0) { mark.style.setProperty("--c", data.people[i].colours[theme][2]); button.append(mark); }
    button.append(i < 0 ? "All" : String(data.people[i].number));
    if (trust) { button.append(badge(trust).firstChild); button.className = kindOf(trust); }
    button.setAttribute("aria-pressed", A.person === i);
    button.title = i < 0 ? "everybody (W)" : `person ${data.people[i].number}${trust ? `: ${trust.word}` : ""} (W)`;
    button.setAttribute("aria-label", button.title.slice(0, -4));
    button.onclick = () => choosePerson(i);
    return button;
  }));
  const entry = (colour, text, kind = "") => {
    const span = document.createElement("span"), mark = document.createElement("i");
    if (kind) mark.className = kind;
    mark.style.setProperty("--c", colour);
    span.append(mark, text);
    return span;
  };
  const own = data.people[A.focus].colours[theme], many = P > 1 && A.person < 0;
  const [left, right] = many ? (theme === "dark" ? ["#7d8594", "#dfe3ea"] : ["#3b414c", "#a5acb8"]) : own;
  const judged = data.people.some(({ trust }) => trust && trust.stretches.length);
  $("legend").replaceChildren(
    entry(left, many ? "left, darker" : "person’s left"),
    entry(right, many ? "right, lighter" : "person’s right"),
    entry("var(--text)", "pale: uncertain", "faint"), entry("", "not seen", "gap"),
    ...(judged ? [entry("var(--care-band)", "look at", "half"), entry("var(--bad-band)", "do not trust", "full")] : []));
  describeTrust();
}
const cursors = document.querySelectorAll(".cursor"), hair = document.querySelector(".hair");
let told = -1;
function draw() {
  const f = state.frame, missing = !A.seen(f), space = SPACES[state.space];
  for (const stage of stages) {
    const own = frameOf(stage.clip), gone = own < 0 || !stage.clip.seen(own);
    drawFlat(stage); drawSolid(stage);
    for (const canvas of [stage.flat.canvas, stage.area.canvas]) {
      const notice = canvas.parentElement.querySelector(".unseen");
      notice.hidden = !gone;
      put(notice, own < 0 ? "B has no picture at this time" : "not seen");
    }
    tellDoubt(stage.clip, stage.area.canvas.parentElement.querySelector(".doubt"), own);
  }
  drawStrip(); drawChart();
  for (const cursor of cursors) cursor.style.transform = `translateX(${at(f, areas.strip.w) * (cursor.parentElement.clientWidth / (areas.strip.w || 1))}px)`;
  hair.hidden = state.hair < 0;
  if (state.hair >= 0) hair.style.transform = `translateX(${at(state.hair, areas.chart.w)}px)`;
  put($("play"), state.playing ? "Pause" : "Play");
  put($("clock"), `${clock(times[f])} / ${clock(times[F - 1])}`);
  put($("count"), `frame ${f} / ${F - 1}`);
  put($("joint"), describe());
  const floor = space.trueFloor ? "floor, z = 0, " : "";
  const many = P > 1 && space.still ? "side by side; " : "";
  put($("grid-size"), many + (state.grid ? `${floor}grid of ${Number(space.grid[0][2].toPrecision(3))} m` : ""));
  const strip = areas.strip.canvas;
  if (told !== f && !state.playing) { // a screen reader need not hear every frame that plays
    told = f;
    const doubt = worst(f);
    strip.setAttribute("aria-valuenow", f);
    strip.setAttribute("aria-valuetext", `frame ${f}${missing ? ", not seen" : ""}${doubt ? `; ${doubtText(A, doubt.person, doubt.stretch)}` : ""}`);
  }
  press("crop", state.crop); press("follow", state.follow && !space.still); press("plot", state.plots); press("errors", state.errors);
  press("backdrop", state.backdrop && hasBackdrop());
  $("backdrop").hidden = !hasBackdrop();
  $("follow").hidden = Boolean(space.still);
  put($("space-mode"), space.still ? "About the pelvis" : "Where they are");
  for (const b of viewButtons) {
    const on = String(b.dataset.view === state.view);
    if (b.getAttribute("aria-pressed") !== on) b.setAttribute("aria-pressed", on);
  }
}

// ---- time: every frame is shown as it is, at its own time; nothing is interpolated --------------------------------
let lastTick = null, steps = [];
function watch(gap) { // milliseconds from one picture to the next, while playing
  steps.push(gap);
  if (steps.length < 20) return;
  const usual = steps.sort((a, b) => a - b)[10];
  steps = [];
  if (usual > 55 && stages.some(({ renderer }) => renderer.gl)) coarser();
}
const ends = A.ends;
function partOf(clip) { // [first, last] of the frames of a clip that were chosen, both included
  if (!state.part) return [0, clip.F - 1];
  if (clip === A) return state.part;
  return state.part.map((f) => Math.max(0, Math.min(clip.F - 1, otherFrame(f))));
}
function tick(now) {
  if (state.playing) {
    if (video.ready && !video.element.paused && !video.element.seeking) state.clock = video.element.currentTime;
    else if (!video.ready && lastTick !== null) state.clock += Math.min(0.25, (now - lastTick) / 1000) * state.speed;
    if (lastTick !== null) watch(now - lastTick);
    lastTick = now;
    const [first, last] = partOf(A);
    if (state.clock >= (last < F - 1 ? times[last + 1] : ends) || (video.ready && video.element.ended)) {
      state.clock = times[first]; state.frame = first; dirty = true;
      if (video.ready) video.play();
    }
    while (state.frame < F - 1 && times[state.frame + 1] <= state.clock + 1e-9) { state.frame++; dirty = true; }
  }
  if (dirty) { dirty = false; draw(); }
  requestAnimationFrame(tick);
}

// ---- start: #frame=120&view=side&theme=dark opens the page so; without a frame it plays ---------------------------
const SPACES = A.spaces;
const wish = new URLSearchParams(location.hash.slice(1));
const pictures = openPictures(A, $("pictures").textContent.trim());
const stages = [newStage(A, pictures, "")];
put($("title"), data.title);
put($("about"), data.about);
$("strip").setAttribute("aria-valuemax", F - 1);
$("errors").hidden = $("errors-help").hidden = !A.expecting;
const system = matchMedia("(prefers-color-scheme: dark)");
setTheme(["light", "dark"].includes(wish.get("theme")) ? wish.get("theme") : system.matches ? "dark" : "light");
if (!wish.has("theme")) system.addEventListener("change", () => setTheme(system.matches ? "dark" : "light"));
state.view = Object.hasOwn(VIEWS, wish.get("view")) ? wish.get("view") : "free";
state.follow = P === 1;
setSpace(wish.get("space") || state.space);
listAngles();
if (["knee_flexion"].some((name) => [...$("angle").options].some((option) => option.value === name))) $("angle").value = "knee_flexion";
measureCloseUp(A);
setPlots(!wish.has("plain"));
state.crop = wish.has("close");
if (wish.has("errors")) toggleErrors();
seek(Number(wish.get("frame")) || 0);
const watcher = new ResizeObserver(resize);
for (const canvas of [document.body, ...document.querySelectorAll(".panel, .timeline")]) watcher.observe(canvas);
if (!wish.has("frame") && !matchMedia("(prefers-reduced-motion: reduce)").matches) play(true);
requestAnimationFrame(tick);
