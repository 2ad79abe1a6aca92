// ---- the pose over its picture, and in three dimensions -----------------------------------------------------------
// The body is drawn by body.js and webgl.js of the result page, which read these names.
const P = 1, state = { grid: true }, colours = {}, point = new Float64Array(3);
let dirty = false;

const scene = {
  joints: [], parents: [], joint: {}, sides: [], pose: null, picture: null, mirrored: true, discs: true,
  yaw: -0.5, pitch: 0.16, zoom: 1, floor: null, middle: null, size: 1, solidAt: 0, slow: false,
  init(joints, parents) {
    Object.assign(this, { joints, parents, joint: Object.fromEntries(joints.map((name, j) => [name, j])), pose: null, floor: null, middle: null });
    this.sides = joints.map((name) => (name.startsWith("left") ? 0 : name.startsWith("right") ? 1 : 2));
    this.mirror(this.mirrored);
  },
  mirror(on) { // a mirrored body has left and right exchanged, else it would face away; colours stay with their limbs
    this.mirrored = on;
    const other = (name) => (on ? name.replace(/^(left|right)_/, (all, side) => (side === "left" ? "right_" : "left_")) : name);
    clip.joint = Object.fromEntries(this.joints.map((name, j) => [other(name), j]));
    setColours();
  },
};
const clip = { // what the drawing of the result page reads of a clip: one person, one frame
  P: 1, joint: {}, size: [1], data: { people: [{ colours: {} }] },
  counts: () => true,
  sure: (i, f, j) => scene.pose.confidence[j] ?? 1,
};
const space = {
  grid: [[-3, 3, 0.5], [-3, 3, 0.5]], floor: 1,
  place: (i, f, j) => {
    const at = scene.pose?.xyz?.[j];
    if (!at) return false;
    for (let a = 0; a < 3; a++) point[a] = at[a] - scene.middle[a];
    if (scene.mirrored) point[0] = -point[0];
    return true;
  },
};
const eye = { cy: 1, sy: 0, cp: 1, sp: 0, x: 0, y: 0, fit: 1, away: 1, centre32: new Float32Array(3) };

function setColours() {
  const css = getComputedStyle(document.documentElement);
  for (const key of ["panel", "edge", "text", "soft", "grid", "floor", "shadow", "left", "right", "middle", "body"]) colours[key] = css.getPropertyValue("--" + key).trim();
  colours.tones = Object.fromEntries(["panel", "grid", "floor", "shadow"].map((key) => [key, rgb(colours[key])]));
  const own = scene.mirrored ? [colours.right, colours.left, colours.middle] : [colours.left, colours.right, colours.middle];
  clip.data.people[0] = { colours: { light: own, dark: own } };
}

function fitCanvas(canvas) { // -> width and height in CSS pixels; the canvas has the screen's
  const { clientWidth: w, clientHeight: h } = canvas, k = scene.slow ? 1 : Math.min(2, devicePixelRatio);
  if (canvas.width !== Math.round(w * k) || canvas.height !== Math.round(h * k)) { canvas.width = Math.round(w * k); canvas.height = Math.round(h * k); }
  return { w, h, k };
}

/** Draw the picture, and over it the joints that were found in it. */
function drawFlat() {
  const canvas = document.getElementById("flat"), { w, h, k } = fitCanvas(canvas), c = canvas.getContext("2d");
  c.setTransform(1, 0, 0, 1, 0, 0);
  c.clearRect(0, 0, canvas.width, canvas.height);
  if (!scene.picture) return;
  const { width, height } = scene.picture, scale = Math.min(w / width, h / height), flip = scene.mirrored ? -1 : 1;
  c.setTransform(k * scale * flip, 0, 0, k * scale, k * (w - flip * width * scale) / 2, k * (h - height * scale) / 2);
  c.drawImage(scene.picture, 0, 0);
  const { pose } = scene;
  if (!pose?.xy) return;
  c.lineCap = "round";
  for (let pass = 0; pass < 2; pass++) pose.xy.forEach((at, j) => { // a dark rim first, so that every background will do
    const from = scene.parents[j] >= 0 && pose.xy[scene.parents[j]];
    if (!at || !from) return;
    c.globalAlpha = pose.confidence[j] > 0.5 ? 1 : 0.35;
    c.strokeStyle = pass ? ["#3caaff", "#ff8c1e", "#f0f0f0"][scene.sides[j]] : "#000a";
    c.lineWidth = (pass ? 3 : 5.5) / scale;
    c.beginPath(); c.moveTo(from[0], from[1]); c.lineTo(at[0], at[1]); c.stroke();
  });
  c.globalAlpha = 1;
}

let renderer = null;
/** Draw the body on its floor, and the expected errors as discs around its joints. */
function drawSolid() {
  const canvas = document.getElementById("solid"), { w, h, k } = fitCanvas(canvas), c = canvas.getContext("2d");
  const drawing = document.getElementById("solid-gl");
  fitCanvas(drawing);
  c.setTransform(k, 0, 0, k, 0, 0);
  c.clearRect(0, 0, w, h);
  if (!scene.pose?.xyz) { drawing.hidden = true; return; }
  drawing.hidden = false;
  follow();
  Object.assign(eye, { cy: Math.cos(scene.yaw), sy: Math.sin(scene.yaw), cp: Math.cos(scene.pitch), sp: Math.sin(scene.pitch) });
  Object.assign(eye, { away: 5, x: w / 2, y: h * 0.52, fit: (scene.zoom * Math.min(w * 1.25, h) * 0.42) / Math.max(1, scene.size) });
  if (renderer === null) {
    renderer = new Renderer(drawing);
    const { gl } = renderer, about = gl && gl.getExtension("WEBGL_debug_renderer_info");
    scene.slow = !gl || /swiftshader|llvmpipe|software/i.test(about ? gl.getParameter(about.UNMASKED_RENDERER_WEBGL) : "");
  }
  if (renderer.gl) renderer.draw(clip, 0, space, eye, w, h);
  else drawing.hidden = true;
  if (scene.discs || !renderer.gl) drawDiscs(c);
}

function follow() { // the middle of the view follows the pelvis, the floor the lowest joint; both slowly
  const { xyz } = scene.pose, pelvis = xyz[0], lowest = Math.max(...xyz.filter(Boolean).map((at) => at[1])) + 0.03;
  if (!scene.middle || Math.hypot(...pelvis.map((v, a) => v - scene.middle[a])) > 1.5) { scene.middle = pelvis.slice(); scene.floor = lowest; }
  scene.middle = scene.middle.map((v, a) => v + 0.12 * (pelvis[a] - v));
  scene.floor += (lowest > scene.floor ? 0.2 : 0.02) * (lowest - scene.floor);
  space.floor = scene.floor - scene.middle[1];
  const legs = ["left", "right"].map((side) => ["hip", "knee", "ankle"].map((name) => xyz[scene.joint[`${side}_${name}`]]));
  const length = legs.reduce((sum, [a, b, d]) => sum + Math.hypot(...sub(a, b)) + Math.hypot(...sub(b, d)), 0) / 2;
  scene.size += 0.1 * (length / 0.86 - scene.size);
  clip.size[0] = scene.size;
}

function onScreen(at) {
  const [x, y, z] = at.map((v, a) => (v - scene.middle[a]) * (scene.mirrored && a === 0 ? -1 : 1)), x1 = x * eye.cy - z * eye.sy, z1 = x * eye.sy + z * eye.cy;
  const y1 = y * eye.cp - z1 * eye.sp, s = eye.away / Math.max(eye.away + y * eye.sp + z1 * eye.cp, 0.25);
  return [eye.x + x1 * eye.fit * s, eye.y + y1 * eye.fit * s, eye.fit * s];
}

function drawDiscs(c) {
  const { pose } = scene, dots = !renderer.gl;
  pose.xyz.forEach((at, j) => {
    if (!at) return;
    const [x, y, s] = onScreen(at), off = scene.discs ? (pose.expected_mm?.[j] ?? 0) / 1000 : 0;
    c.fillStyle = c.strokeStyle = [colours.left, colours.right, colours.middle][scene.sides[j]];
    const from = dots && scene.parents[j] >= 0 && pose.xyz[scene.parents[j]];
    if (from) { const [px, py] = onScreen(from); c.lineWidth = 4; c.beginPath(); c.moveTo(px, py); c.lineTo(x, y); c.stroke(); }
    if (!(off > 0)) return;
    c.lineWidth = 1;
    c.beginPath(); c.arc(x, y, off * s, 0, 7);
    c.globalAlpha = 0.16; c.fill();
    c.globalAlpha = 0.75; c.stroke();
    c.globalAlpha = 1;
  });
}

function listenToPointer() { // drag to turn, wheel or pinch to zoom, arrows for those without a pointer
  const canvas = document.getElementById("solid"), held = new Map();
  const turnBy = (dx, dy) => { scene.yaw += dx; scene.pitch = Math.max(-0.3, Math.min(Math.PI / 2, scene.pitch + dy)); drawSolid(); };
  const zoomBy = (by) => { scene.zoom = Math.max(0.3, Math.min(5, scene.zoom * by)); drawSolid(); };
  const apart = () => { const [a, b] = [...held.values()]; return Math.hypot(a.x - b.x, a.y - b.y); };
  canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); held.set(event.pointerId, event); });
  for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, (event) => held.delete(event.pointerId));
  canvas.addEventListener("pointermove", (event) => {
    const before = held.get(event.pointerId);
    if (!before) return;
    const wide = held.size === 2 ? apart() : 0;
    held.set(event.pointerId, event);
    if (wide) zoomBy(apart() / wide);
    else if (held.size === 1) turnBy((event.x - before.x) * 0.008, (event.y - before.y) * 0.008);
  });
  canvas.addEventListener("wheel", (event) => { event.preventDefault(); zoomBy(Math.exp(-event.deltaY * 0.0015)); }, { passive: false });
  canvas.addEventListener("dblclick", () => { Object.assign(scene, { yaw: -0.5, pitch: 0.16, zoom: 1 }); drawSolid(); });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] }[event.key];
    if (step) { event.preventDefault(); turnBy(...step); }
    if (event.key === "+" || event.key === "-") zoomBy(event.key === "+" ? 1.15 : 1 / 1.15);
  });
}
