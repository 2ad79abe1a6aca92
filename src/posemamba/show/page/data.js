// ---- clips: what a page or a poses.json holds. P people, F frames, J joints ---------------------------------------
const $ = (id) => document.getElementById(id);
const UNSEEN = -32768, MISSING = 65535; // of signed and of unsigned arrays: a value that is not known

function unpack(text, Type) { // base64 of little-endian numbers
  if (Uint8Array.fromBase64) return new Type(Uint8Array.fromBase64(text).buffer);
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return new Type(bytes.buffer);
}
// The functions that run for every frame write into arrays that were made once: nothing is left for the collector.
const point = new Float64Array(3);

class Clip {
  constructor(data) { // data: of a page, its arrays unpacked by `fromPage` or made by `fromPoses`
    this.data = data;
    this.F = data.frames; this.P = data.people.length;
    this.J = data.joints.length; this.BODY = data.body; // J: the body's, then heels and foot tips where there are any
    this.times = data.times;
    this.world = data.frame === "world";
    this.sides = data.sides.map((s) => (s > 0 ? 0 : s < 0 ? 1 : 2)); // left, right, middle
    this.boneFrom = []; this.boneTo = [];
    data.parents.forEach((p, j) => { if (p >= 0) { this.boneFrom.push(p); this.boneTo.push(j); } });
    this.joint = Object.fromEntries(data.joints.map((name, j) => [name, j]));
    this.expecting = data.people.some((person) => person.expected);
    this.person = -1; // -1: everybody
    this.onFlat = new Float32Array(this.P * this.J * 4);
    this.onSolid = new Float32Array(this.P * this.J * 4);
    // where joints were drawn last: x, y, depth, scale for each person and joint, NaN where not; for picking, too
    this.levels = data.people.map((person) => {
      const levels = new Uint8Array(this.F);
      for (const [first, last, level] of person.trust ? person.trust.stretches : [])
        for (let f = Math.max(0, first); f <= Math.min(this.F - 1, last); f++) levels[f] = Math.max(levels[f], level);
      return levels;
    });
    measure(this);
  }
  get focus() { return Math.max(0, this.person); }
  counts(i) { return this.person < 0 || this.person === i; }
  seenBy(i, f) { return this.data.people[i].xyz[f * this.J * 3] !== UNSEEN; }
  seen(f) { for (let i = 0; i < this.P; i++) if (this.seenBy(i, f)) return true; return false; }
  sure(i, f, j) { return this.data.people[i].confidence[f * this.J + j] / 255; }
  point3(i, f, j) { // -> point: metres from the pelvis, in the poses' axes; false where not known
    const person = this.data.people[i], k = (f * this.J + j) * 3, s = person.xyz_step;
    if (person.xyz[k] === UNSEEN) return false;
    point[0] = person.xyz[k] * s; point[1] = person.xyz[k + 1] * s; point[2] = person.xyz[k + 2] * s;
    return true;
  }
  placed3(i, f, j) { // -> point: metres, in the poses' axes, with the path; false where not known
    if (!this.point3(i, f, j)) return false;
    const root = this.data.people[i].root;
    for (let a = 0; a < 3; a++) point[a] += root[f * 3 + a];
    return true;
  }
  point2(i, f, j) { // -> point: image pixels; false where the joint was not found
    const person = this.data.people[i], k = (f * this.J + j) * 2;
    if (person.xy[k] === MISSING) return false;
    point[0] = person.xy_start[0] + person.xy[k] * person.xy_step;
    point[1] = person.xy_start[1] + person.xy[k + 1] * person.xy_step;
    return true;
  }
  expected(i, f, j) { // metres; NaN where it is not known
    const person = this.data.people[i];
    if (!person.expected || person.expected[f * this.J + j] === MISSING) return NaN;
    return person.expected[f * this.J + j] * person.expected_step;
  }
  errorAt(i, f, j) { // millimetres; j < 0: mean of all but the pelvis, which has none
    if (j >= 0) return 1000 * this.expected(i, f, j);
    let sum = 0, count = 0;
    for (const b of this.boneTo) { const e = this.expected(i, f, b); if (e === e) { sum += e; count++; } }
    return (1000 * sum) / count;
  }
  meanSure(i, f) {
    let sum = 0;
    for (let j = 0; j < this.BODY; j++) sum += this.sure(i, f, j);
    return sum / this.BODY;
  }
  stretchAt(i, f) { // [first, last, level, reason]; the worst one, null if there is none
    let worst = null;
    if (this.levels[i][f]) for (const stretch of this.data.people[i].trust.stretches)
      if (stretch[0] <= f && f <= stretch[1] && (!worst || stretch[2] > worst[2])) worst = stretch;
    return worst;
  }
  frameAt(time) { // the frame shown at a time; -1 before the first, F behind the last one's end
    const { times, F } = this;
    if (time < times[0] - 1e-6) return -1;
    if (time >= this.ends - 1e-6) return F;
    let low = 0, high = F - 1;
    while (low < high) { const m = (low + high + 1) >> 1; if (times[m] <= time + 1e-6) low = m; else high = m - 1; }
    return low;
  }
  get ends() { return this.times[this.F - 1] + 1 / this.data.fps; }
  name(i) { return this.P > 1 ? `person ${this.data.people[i].number}` : ""; }
}

// angles: {name, values, step} and perhaps errors and edge_on
function angleAt(angle, f) { return angle.values[f] === UNSEEN ? NaN : angle.values[f] * angle.step; }
function offBy(angle, f) { return !angle.errors || angle.errors[f] === MISSING ? NaN : angle.errors[f] / 10; }
function edgeOn(angle, f) { return angle.edge_on ? angle.edge_on[f] === 1 : false; }
function angleText(angle, f) {
  const v = angleAt(angle, f), off = offBy(angle, f);
  if (v !== v) return "not known";
  return `${v.toFixed(0)}°` + (off === off ? ` ± ${off.toFixed(0)}°` : "")
    + (edgeOn(angle, f) ? ", edge-on: the picture hardly tells" : "");
}
function rangeOf(clip, i, angle) { // least and greatest value over the chosen frames that can be trusted; kept
  const [from, to] = partOf(clip), key = `${from} ${to}`;
  if (angle.range && angle.range.key === key) return angle.range;
  const range = { key, least: NaN, most: NaN, atLeast: -1, atMost: -1, frames: 0, edge: 0, off: 0, of: to - from + 1 };
  let last = NaN;
  for (let f = from; f <= to; f++) {
    let v = angleAt(angle, f);
    if (v !== v || clip.levels[i][f] > 1) continue;
    if (last === last) v += 360 * Math.round((last - v) / 360); // past 180° it goes on, and not from -180°
    last = v;
    range.frames++;
    range.edge += edgeOn(angle, f);
    range.off += offBy(angle, f);
    if (!(v >= range.least)) { range.least = v; range.atLeast = f; }
    if (!(v <= range.most)) { range.most = v; range.atMost = f; }
  }
  return (angle.range = range);
}

// ---- reading ------------------------------------------------------------------------------------------------------
const KIND = { xyz: Int16Array, xy: Uint16Array, confidence: Uint8Array, root: Float32Array, expected: Uint16Array };
const KIND_OF_ANGLE = { values: Int16Array, errors: Uint16Array, edge_on: Uint8Array };
function fromPage(data) {
  data.times = unpack(data.times, Float64Array);
  for (const person of data.people) {
    for (const key of Object.keys(KIND)) if (person[key]) person[key] = unpack(person[key], KIND[key]);
    for (const angle of person.angles)
      for (const key of Object.keys(KIND_OF_ANGLE)) if (angle[key]) angle[key] = unpack(angle[key], KIND_OF_ANGLE[key]);
  }
  const F = data.frames, J = data.joints.length;
  if (data.times.length !== F || !data.people.length || data.people.some((p) => p.xyz.length !== F * J * 3))
    throw new Error("it is damaged");
  return new Clip(data);
}
function fromPoses(file, title) { // the JSON of one person that `posemamba lift` writes
  const F = file.frames.length, feet = file.frames.some((one) => one.feet) ? file.feet : [];
  const joints = [...file.joints, ...feet], J = joints.length, BODY = file.joints.length;
  const parents = [...file.parents, ...feet.map((name, k) =>
    (k % 2 ? BODY + k - 1 : file.joints.indexOf(`${name.split("_")[0]}_ankle`)))];
  const person = {
    number: String(file.person), colours: paintOfOne(), place: [0, 0, 0], angles: [], trust: trustOf(file.trust),
    root: new Float32Array(F * 3), xyz: new Int16Array(F * J * 3).fill(UNSEEN), xyz_step: 1e-4,
    xy: new Uint16Array(F * J * 2).fill(MISSING), xy_start: [0, 0], xy_step: 1, confidence: new Uint8Array(F * J),
  };
  const flat = file.frames.flatMap((one) => [...one.keypoints, ...(one.feet_keypoints || [])]).filter((p) => p);
  let low = [Infinity, Infinity], span = 0, reach = 0;
  for (const p of flat) low = [Math.min(low[0], p[0]), Math.min(low[1], p[1])];
  for (const p of flat) span = Math.max(span, p[0] - low[0], p[1] - low[1]);
  if (flat.length) { person.xy_start = low; person.xy_step = span / (MISSING - 1) || 1; }
  const bodies = file.frames.map((one) => (one.seen ? [...one.xyz, ...(feet.length ? one.feet || feet.map(() => null) : [])] : null));
  for (const body of bodies) if (body) for (const p of body) if (p)
    for (let a = 0; a < 3; a++) reach = Math.max(reach, Math.abs(p[a] - body[0][a]));
  person.xyz_step = reach / 32767 || 1;
  let most = 0;
  for (const one of file.frames) for (const e of one.expected_error || []) most = Math.max(most, e);
  if (most) { person.expected = new Uint16Array(F * J).fill(MISSING); person.expected_step = most / (MISSING - 1); }
  file.frames.forEach((one, f) => {
    const points = [...one.keypoints, ...(feet.length ? one.feet_keypoints || [] : [])];
    points.forEach((p, j) => { if (p) for (let a = 0; a < 2; a++)
      person.xy[(f * J + j) * 2 + a] = Math.round((p[a] - person.xy_start[a]) / person.xy_step); });
    [...one.confidence, ...(one.feet_confidence || [])].slice(0, J).forEach((c, j) => {
      person.confidence[f * J + j] = Math.round(255 * c); });
    if (most && one.seen) (one.expected_error || []).forEach((e, j) => {
      person.expected[f * J + j] = Math.round(e / person.expected_step); });
    if (!bodies[f]) return;
    person.root.set(bodies[f][0], f * 3);
    bodies[f].forEach((p, j) => { if (p) for (let a = 0; a < 3; a++)
      person.xyz[(f * J + j) * 3 + a] = Math.round((p[a] - bodies[f][0][a]) / person.xyz_step); });
  });
  return new Clip({
    title, about: `${F} frames · ${file.fps} frames/s`, frames: F, fps: file.fps, image_size: file.image_size,
    frame: file.frame, joints, parents, body: BODY, times: Float64Array.from(file.frames, (one) => one.time),
    sides: joints.map((name) => name.startsWith("left") - name.startsWith("right")), people: [person], pictures: null,
  });
}
function trustOf(told) { // the verdict of a file, null where it has none
  if (!told || typeof told.word !== "string" || !Array.isArray(told.stretches)) return null;
  const stretches = told.stretches.filter((one) => Array.isArray(one) && one.slice(0, 3).every(Number.isInteger));
  return { word: told.word, sentence: String(told.sentence), reasons: told.reasons || [], stretches };
}
function paintOfOne() { // of a clip that brings no colours
  return { light: ["#0068a8", "#cf5200", "#4a4f59"], dark: ["#3caaff", "#ff8c1e", "#f0f0f0"] };
}
