// ---- what is shown ------------------------------------------------------------------------------------------------
const A = fromPage(JSON.parse($("data").textContent)); // this page's clip; clips[1] is one that it is compared with
const clips = [A];
const { data, F, P, J, times } = A;
const nobody = () => ({ clip: null, person: -1, joint: -1 });
const state = { frame: 0, playing: false, clock: 0, speed: 1, view: "free", began: "free", yaw: 0, pitch: 0, zoom: 1, panX: 0, panY: 0,
  grid: true, crop: false, backdrop: true, follow: true, plots: false, errors: false, space: "path", part: null, offset: 0, facing: false,
  hover: nobody(), pin: nobody(), hair: -1 };
const colours = {};
let dirty = true;
let chartKey = "", stripKey = "", rangesKey = "", valuesKey = "";
function stale() { chartKey = stripKey = rangesKey = valuesKey = ""; dirty = true; }
function frameOf(clip) { // the frame of a clip that is shown now; -1: it has none at this time
  if (clip === A) return state.frame;
  const f = clip.frameAt(times[state.frame] + state.offset + 0.25 / clip.data.fps);
  return f >= clip.F ? -1 : f;
}
function paintOf(clip, i) { return clip.data.people[i].colours[document.documentElement.dataset.theme]; }
function setTheme(name) {
  document.documentElement.dataset.theme = name;
  const css = getComputedStyle(document.documentElement);
  for (const key of ["panel", "edge", "text", "soft", "grid", "floor", "shadow", "bar", "accent", "gap", "left", "right", "middle",
    "care-band", "bad-band", "body"]) colours[key] = css.getPropertyValue("--" + key).trim();
  colours.tones = Object.fromEntries(["panel", "grid", "floor", "shadow"].map((key) => [key, rgb(colours[key])]));
  $("theme").textContent = name === "dark" ? "Light" : "Dark";
  describePeople();
  stale();
}
function seek(frame) {
  state.frame = Math.max(0, Math.min(F - 1, Math.round(frame)));
  state.clock = times[state.frame];
  if (video.ready) video.place();
  dirty = true;
}
function play(on) {
  state.playing = on && F > 1;
  lastTick = null;
  if (video.ready) { if (state.playing) video.play(); else { video.element.pause(); video.place(); } }
  dirty = true;
}
function choosePart(first, last) { // play in a loop, and measure ranges over these frames; null: the whole clip
  state.part = first === null || (first <= 0 && last >= F - 1) ? null : [Math.min(first, last), Math.max(first, last)];
  $("part-all").hidden = !state.part;
  stale();
}
const partFrom = () => choosePart(state.frame, state.part && state.part[1] > state.frame ? state.part[1] : F - 1);
const partTo = () => choosePart(state.part && state.part[0] < state.frame ? state.part[0] : 0, state.frame);
function step(count) { play(false); seek(state.frame + count); }
function setSpeed(change) {
  const select = $("speed");
  select.selectedIndex = Math.max(0, Math.min(select.options.length - 1, select.selectedIndex + change));
  state.speed = Number(select.value);
  video.element.playbackRate = state.speed;
}
function choosePerson(i) {
  A.person = i;
  state.follow = P === 1 || i >= 0; // who was chosen does not walk out of the panel
  if (state.pin.clip === A && i >= 0) state.pin.person = i;
  measureCloseUp(A);
  describePeople();
  listAngles();
  stale();
}
function pin(i, j, clip = A) {
  state.pin = j < 0 ? nobody() : { clip, person: i, joint: j };
  if (j >= 0 && !state.plots && !state.pinnedOnce) { state.pinnedOnce = true; setPlots(true); }
  listAngles();
  if (j >= 0) {
    const best = angleGroups(clip, i).find(({ all }) => all.some((angle) => angle.name.startsWith(clip.data.joints[j])));
    const { value } = $("angle");
    if (best && !value.startsWith("@")) $("angle").value = best.name; // confidence and expected errors stay
  }
  stale();
}
const focus = () => (state.pin.clip === A ? state.pin.person : A.focus); // the person whose curves are plotted
function nextJoint(count) {
  const now = state.pin.clip === A ? state.pin.joint : -1;
  pin(focus(), now < 0 ? (count > 0 ? 0 : J - 1) : (now + count + J) % J);
}
function setSpace(name) {
  state.space = A.spaces[name] ? name : "path";
  setView(state.view || "free");
}
function setPlots(on) { state.plots = on; $("plots").hidden = !on; stale(); resize(); }
