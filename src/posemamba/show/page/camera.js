// ---- the eye that looks at the body -------------------------------------------------------------------------------
const VIEWS = { free: [-0.55, 0.22], camera: [0, 0], side: [-Math.PI / 2, 0], top: [0, Math.PI / 2] };
const LOWEST = -0.3, NEAREST = 30, FARTHEST = 0.4; // of pitch and zoom
const drawn = new Float32Array(4);
function newEye() {
  return { cy: 1, sy: 0, cp: 1, sp: 0, x: 0, y: 0, fit: 1, away: 1, centre: new Float64Array(3), centre32: new Float32Array(3) };
}
function turn(eye, x, y, z) { // -> drawn: the orbiting eye's frame, x right, y down, z away
  const x1 = x * eye.cy - z * eye.sy, z1 = x * eye.sy + z * eye.cy;
  drawn[0] = x1; drawn[1] = y * eye.cp - z1 * eye.sp; drawn[2] = y * eye.sp + z1 * eye.cp;
}
function project(eye, x, y, z) { // -> drawn: x, y on the canvas, depth, scale
  turn(eye, x - eye.centre[0], y - eye.centre[1], z - eye.centre[2]);
  drawn[3] = eye.away / Math.max(eye.away + drawn[2], 0.05 * eye.away);
  drawn[0] = eye.x + drawn[0] * eye.fit * drawn[3]; drawn[1] = eye.y + drawn[1] * eye.fit * drawn[3];
}
function aim(stage, f) { // set the eye of a panel for frame f (-1: nobody)
  const { clip, eye, area } = stage, { w, rows } = area, h = area.h - rows, space = clip.spaces[state.space];
  const body = Math.max(...clips.map((one) => one.spaces[state.space].body)); // clips compared have one scale
  const wide = space.radius > 1.02 * space.body, follows = state.follow && !space.still;
  const near = follows || (clips.length > 1 && !wide);
  // near: a standing body with some room about it, or as far as limbs reach in the clip
  const tall = 1.28 * Math.max(...clips.map((one) => Math.max(...one.size)));
  const radius = near || (space.still && clip.P === 1) ? Math.max(tall, 0.8 * body) : space.radius;
  const yaw = state.yaw + (state.facing && clip !== A ? heading(A) - heading(clip) : 0);
  eye.cy = Math.cos(yaw); eye.sy = Math.sin(yaw); eye.cp = Math.cos(state.pitch); eye.sp = Math.sin(state.pitch);
  eye.away = 5 * radius;
  let reach = 0.48 * Math.min(w * 1.25, h - 40) / radius;
  if (!near && wide) { // what counts is the box as it is seen from here
    const [bx, by, bz] = space.box, dx = bx[1] - bx[0], dy = by[1] - by[0], dz = bz[1] - bz[0];
    const wideness = Math.abs(dx * eye.cy) + Math.abs(dz * eye.sy) + 0.35;
    const deep = Math.abs(dx * eye.sy) + Math.abs(dz * eye.cy);
    const high = Math.abs(dy * eye.cp) + Math.abs(deep * eye.sp) + 0.35;
    reach = 0.9 * Math.min(w / Math.max(wideness, 1e-3), (h - 70) / Math.max(high, 1e-3));
  }
  eye.fit = state.zoom * reach;
  eye.x = w / 2 + state.panX;
  eye.y = rows + h / 2 + 10 + state.panY;
  eye.centre.set(space.centre);
  if (follows && f >= 0) {
    const path = smoothPath(clip, leader(clip, f));
    eye.centre.set(path.subarray(3 * f, 3 * f + 3));
  } else if (space.still && clip.P === 1) eye.centre[1] = (space.box[1][0] + space.floor) / 2;
  eye.centre32.set(eye.centre);
  keepInView(stage, f, space);
}
function leader(clip, f) { // who is followed: who was chosen, or the first one seen
  if (clip.person >= 0) return clip.person;
  for (let i = 0; i < clip.P; i++) if (clip.seenBy(i, f)) return i;
  return 0;
}
function keepInView(stage, f, space) { // whatever the eye does, the pelvis of somebody stays inside of the panel
  if (f < 0) return;
  const { clip, eye, area } = stage, cx = area.w / 2, cy = area.rows + (area.h - area.rows) / 2;
  let nearest = Infinity, x = 0, y = 0;
  for (let i = 0; i < clip.P; i++) {
    if ((clip.person >= 0 && i !== clip.person) || !space.place(i, f, 0)) continue;
    project(eye, point[0], point[1], point[2]);
    const d = Math.hypot(drawn[0] - cx, drawn[1] - cy);
    if (d < nearest) { nearest = d; x = drawn[0]; y = drawn[1]; }
  }
  if (nearest === Infinity) return;
  const most = [0.42 * area.w, 0.4 * (area.h - area.rows)];
  const dx = Math.max(-most[0], Math.min(most[0], x - cx)) - (x - cx), dy = Math.max(-most[1], Math.min(most[1], y - cy)) - (y - cy);
  eye.x += dx; eye.y += dy;
  if (clips.length === 1) { state.panX += dx; state.panY += dy; }
}
function setView(name) {
  [state.yaw, state.pitch] = VIEWS[name];
  Object.assign(state, { view: name, began: name, zoom: 1, panX: 0, panY: 0 });
  dirty = true;
}
function orbit(dx, dy, zoom, move, at) { // at: the pointer in the panel, which keeps its place when zooming
  if (move) { state.panX += dx; state.panY += dy; }
  else {
    state.yaw += dx * 0.008;
    state.pitch = Math.max(LOWEST, Math.min(Math.PI / 2, state.pitch + dy * 0.008));
    state.view = "";
  }
  const to = Math.max(FARTHEST, Math.min(NEAREST, state.zoom * zoom)), k = to / state.zoom;
  if (at && k !== 1) {
    const { area } = at.stage, cx = area.w / 2, cy = area.rows + (area.h - area.rows) / 2 + 10;
    state.panX = (at.x - cx) - (at.x - cx - state.panX) * k;
    state.panY = (at.y - cy) - (at.y - cy - state.panY) * k;
  }
  state.zoom = to;
  dirty = true;
}

// ---- the 3D panels ------------------------------------------------------------------------------------------------
function floorLine(c, eye, floor, ax, az, bx, bz) {
  project(eye, ax, floor, az);
  const x = drawn[0], y = drawn[1];
  project(eye, bx, floor, bz);
  line(c, x, y, drawn[0], drawn[1]);
}
function drawSolid(stage = stages[0]) {
  const { clip, area, eye, renderer } = stage, { c, w, h } = area, f = frameOf(clip), space = clip.spaces[state.space];
  c.clearRect(0, 0, w, h);
  aim(stage, f);
  if (renderer.gl) renderer.draw(clip, f, space, eye, w, h);
  else paintBody(c, clip, f, space, eye);
  if (state.grid && space.still) { // the way the camera looks
    const near = space.grid[1][0] + 0.06 * space.body, tip = near + 0.25 * space.body, wing = 0.05 * space.body, floor = space.floor;
    c.strokeStyle = colours.soft; c.lineWidth = 2;
    floorLine(c, eye, floor, 0, near, 0, tip);
    for (let s = -1; s <= 1; s += 2) floorLine(c, eye, floor, s * wing, tip - 1.6 * wing, 0, tip);
    project(eye, 0, floor, near);
    if (drawn[0] > 0 && drawn[0] < w) words(c, "camera", Math.max(28, Math.min(w - 28, drawn[0])), Math.min(h - 10, drawn[1] + 13), colours.soft, "center");
  }
  const on = clip.onSolid;
  for (let i = 0; i < clip.P; i++) for (let j = 0; j < clip.J; j++) {
    const a = (i * clip.J + j) * 4;
    if (f >= 0 && space.place(i, f, j)) {
      project(eye, point[0], point[1], point[2]);
      on[a] = drawn[0]; on[a + 1] = drawn[1]; on[a + 2] = drawn[2]; on[a + 3] = drawn[3];
    } else on.fill(NaN, a, a + 4);
  }
  if (state.errors) discs(stage, f);
  trail(stage, f, space);
  marks(c, clip, on, clip.data.people.map((_, i) => paintOf(clip, i)), false);
  gizmo(stage, 46, h - 56);
}
function trail({ clip, area: { c }, eye }, f, space) { // where the picked joint was in the last second
  const { person: i, joint: j } = state.pin;
  if (state.pin.clip !== clip || f < 0) return;
  const length = Math.max(2, Math.round(clip.data.fps)), from = Math.max(0, f - length);
  c.strokeStyle = paintOf(clip, i)[clip.sides[j]]; c.lineWidth = 2.5;
  let open = false, x = 0, y = 0;
  for (let g = from; g <= f; g++) {
    if (!space.place(i, g, j)) { open = false; continue; }
    project(eye, point[0], point[1], point[2]);
    c.globalAlpha = 0.15 + (0.85 * (g - from)) / length;
    if (open) line(c, x, y, drawn[0], drawn[1]);
    x = drawn[0]; y = drawn[1]; open = true;
  }
  c.globalAlpha = 1;
}
function discs({ clip, area, eye }, f) { // around each joint of the 3D panel, as large as it is expected to be off
  const { c } = area;
  if (f < 0) return;
  c.lineWidth = 1;
  for (let i = 0; i < clip.P; i++) {
    const dim = clip.counts(i) ? 1 : 0.3;
    for (let j = 0; j < clip.J; j++) {
      const a = (i * clip.J + j) * 4, r = clip.expected(i, f, j) * eye.fit * clip.onSolid[a + 3];
      if (!(r > 0)) continue;
      c.fillStyle = c.strokeStyle = paintOf(clip, i)[clip.sides[j]];
      c.beginPath(); c.arc(clip.onSolid[a], clip.onSolid[a + 1], r, 0, 7);
      c.globalAlpha = 0.16 * dim; c.fill();
      c.globalAlpha = 0.75 * dim; c.stroke();
    }
  }
  c.globalAlpha = 1;
}
const AXES = { camera: [[1, 0, 0, "x"], [0, -1, 0, "−y"], [0, 0, 1, "z"]], world: [[1, 0, 0, "x"], [0, 0, 1, "y"], [0, -1, 0, "z"]] };
function gizmo({ clip, area: { c }, eye }, x0, y0) {
  for (const [ax, ay, az, name] of AXES[clip.data.frame] || AXES.camera) {
    turn(eye, ax, ay, az);
    const x = drawn[0], y = drawn[1], size = Math.hypot(x, y);
    c.strokeStyle = colours.soft; c.lineWidth = 2;
    line(c, x0, y0, x0 + 26 * x, y0 + 26 * y);
    if (size > 0.2) words(c, name, x0 + x * (26 + 11 / size), y0 + y * (26 + 11 / size), colours.text, "center");
  }
}
function marks(c, clip, points, paints, onPicture) { // the joints under the pointer and picked, and people's numbers
  const rim = onPicture ? "#000" : colours.panel;
  for (let i = 0; i < clip.P; i++) {
    let top = -1;
    for (let j = 0; j < clip.J; j++) {
      const a = (i * clip.J + j) * 4;
      if (points[a] !== points[a]) continue;
      if (top < 0 || points[a + 1] < points[top + 1]) top = a;
      if (!is(state.hover, clip, i, j) && !is(state.pin, clip, i, j)) continue;
      c.strokeStyle = rim; c.lineWidth = 6;
      c.beginPath(); c.arc(points[a], points[a + 1], 9, 0, 7); c.stroke();
      c.strokeStyle = onPicture ? "#fff" : colours.text; c.lineWidth = 2.5;
      c.beginPath(); c.arc(points[a], points[a + 1], 9, 0, 7); c.stroke();
    }
    if (clip.P === 1 || top < 0) continue;
    const y = Math.max(12, points[top + 1] - (onPicture ? 20 : 26));
    c.globalAlpha = clip.counts(i) ? 1 : 0.35;
    c.fillStyle = paints[i][2];
    c.beginPath(); c.arc(points[top], y, 11, 0, 7); c.fill();
    c.font = "600 13px system-ui, sans-serif"; c.textAlign = "center"; c.textBaseline = "middle";
    c.fillStyle = onPicture || document.documentElement.dataset.theme === "dark" ? "#14161a" : "#fff";
    c.fillText(clip.data.people[i].number, points[top], y + 0.5);
    c.globalAlpha = 1;
  }
}
function is(one, clip, i, j) { return one.joint === j && one.person === i && one.clip === clip; }
