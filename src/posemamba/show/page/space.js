// ---- the two spaces that can be shown: where people are, and about their pelvis -----------------------------------
// place() writes a joint in the eye's axes, x right, y down, z away, to `point`; false where nobody was seen.
function toEye(clip) { if (clip.world) { const y = point[1]; point[1] = -point[2]; point[2] = y; } }
function measure(clip) {
  clip.spaces = {
    path: {
      trueFloor: clip.world,
      place: (i, f, j) => {
        if (!clip.placed3(i, f, j)) return false;
        toEye(clip);
        return true;
      },
    },
    pelvis: {
      still: true,
      place: (i, f, j) => {
        if (!clip.point3(i, f, j)) return false;
        toEye(clip);
        const [x, y, z] = clip.data.people[i].place;
        point[0] += x; point[1] += y; point[2] += z;
        return true;
      },
    },
  };
  clip.size = clip.data.people.map((_, i) => sizeOf(clip, i));
  Object.values(clip.spaces).forEach((space) => measureSpace(clip, space));
}
function sizeOf(clip, i) { // of a body, 1: a leg of 0.86 m; from the median leg
  const legs = [], stride = Math.max(1, Math.floor(clip.F / 200)), at = new Float64Array(3);
  for (let f = 0; f < clip.F; f += stride) for (const side of ["left", "right"]) {
    let length = 0, known = true;
    [`${side}_hip`, `${side}_knee`, `${side}_ankle`].forEach((name, k) => {
      if (!clip.point3(i, f, clip.joint[name])) { known = false; return; }
      if (k) length += Math.hypot(point[0] - at[0], point[1] - at[1], point[2] - at[2]);
      at.set(point);
    });
    if (known) legs.push(length);
  }
  legs.sort((a, b) => a - b);
  return legs.length ? legs[legs.length >> 1] / 0.86 : 1;
}
function measureSpace(clip, space) { // extent over the clip: scale and centre, fixed over time
  const { F, P, J } = clip, stride = Math.max(1, Math.floor((F * P) / 2500));
  const values = [[], [], []], one = [[], [], []];
  for (let i = 0; i < P; i++) for (let f = 0; f < F; f += stride) {
    if (!space.place(i, f, 0)) continue;
    const [x, y, z] = point;
    for (let j = 0; j < J; j++) {
      if (!space.place(i, f, j)) continue;
      for (let a = 0; a < 3; a++) { values[a].push(point[a]); one[a].push(point[a] - [x, y, z][a]); }
    }
  }
  // All but the outermost thousandth of the values count: a stray joint must not shrink the rest.
  const range = (list) => {
    if (!list.length) return [-0.9, 0.9];
    const sorted = Float32Array.from(list).sort(), cut = Math.floor(sorted.length / 1000);
    return [sorted[cut], sorted[sorted.length - 1 - cut]];
  };
  space.box = values.map(range);
  space.centre = space.box.map(([low, high]) => (low + high) / 2);
  const half = (box) => 1.02 * Math.max(1e-3, Math.hypot(...box.map(([low, high]) => high - low)) / 2);
  space.radius = half(space.box);
  space.body = P === 1 && space.still ? space.radius : Math.min(space.radius, half(one.map(range)));
  const sole = (J > clip.BODY ? 0.025 : 0.075) * Math.max(...clip.size); // drawn below the lowest joint
  space.floor = space.trueFloor ? 0 : space.box[1][1] + sole;
  const tall = Math.max(...clip.size); // cells of half a metre for bodies in metres, else of such a share of a body
  space.cell = !space.still ? 1 : tall > 0.5 && tall < 2 ? 0.5 : 10 ** Math.floor(Math.log10(tall / 2));
  // the floor: whole cells around all that is there
  space.grid = [0, 2].map((a) => {
    const margin = !space.still ? 0.8 : P > 1 && a === 0 ? 0.3 * space.body : 0.2 * space.radius;
    const centred = space.still && (P === 1 || a === 2);
    const reach = 0.9 * space.body;
    const low = centred ? -reach : space.box[a][0] - margin, high = centred ? reach : space.box[a][1] + margin;
    let step = space.cell;
    while ((high - low) / step > 60) step *= 2;
    return [Math.floor(low / step) * step, Math.ceil(high / step) * step, step];
  });
}
function heading(clip) { // of the person in focus, the mean over the clip: radians about the upright axis of the eye
  if (clip.way?.[clip.focus] !== undefined) return clip.way[clip.focus];
  const left = clip.joint.left_hip, right = clip.joint.right_hip, stride = Math.max(1, Math.floor(clip.F / 500));
  let x = 0, z = 0;
  for (let f = 0; f < clip.F; f += stride) {
    if (!clip.spaces.pelvis.place(clip.focus, f, left)) continue;
    const [ax, , az] = point;
    if (!clip.spaces.pelvis.place(clip.focus, f, right)) continue;
    x += ax - point[0]; z += az - point[2];
  }
  return ((clip.way ||= {})[clip.focus] = Math.atan2(z, x));
}
function smoothPath(clip, i) { // (F, 3) the pelvis in the eye's axes, a second's mean along the floor: for following
  const person = clip.data.people[i];
  if (person.path) return person.path;
  const { F } = clip, path = new Float32Array(F * 3), half = Math.max(1, Math.round(clip.data.fps / 2));
  const sums = [new Float64Array(F + 1), new Float64Array(F + 1), new Float64Array(F + 1), new Float64Array(F + 1)];
  for (let f = 0; f < F; f++) {
    const known = clip.spaces.path.place(i, f, 0);
    for (let a = 0; a < 3; a++) sums[a][f + 1] = sums[a][f] + (known ? point[a] : 0);
    sums[3][f + 1] = sums[3][f] + (known ? 1 : 0);
  }
  for (let f = 0; f < F; f++) {
    const from = Math.max(0, f - half), to = Math.min(F, f + half + 1), count = sums[3][to] - sums[3][from];
    for (let a = 0; a < 3; a++) path[3 * f + a] = count ? (sums[a][to] - sums[a][from]) / count : f ? path[3 * f - 3 + a] : 0;
  }
  return (person.path = path);
}

// 2D: how large people are in the picture, for close-ups
function around(clip, f, out) { // the bounding box of all joints in a frame: out = [x0, y0, x1, y1]; false without
  out[0] = out[1] = Infinity; out[2] = out[3] = -Infinity;
  for (let i = 0; i < clip.P; i++) {
    if (!clip.counts(i)) continue;
    for (let j = 0; j < clip.J; j++) if (clip.point2(i, f, j)) {
      out[0] = Math.min(out[0], point[0]); out[1] = Math.min(out[1], point[1]);
      out[2] = Math.max(out[2], point[0]); out[3] = Math.max(out[3], point[1]);
    }
  }
  return out[2] >= out[0];
}
const bounds = new Float64Array(4);
function measureCloseUp(clip) { // one size over the clip
  const step = Math.max(1, Math.floor(clip.F / 5000)), spans = new Float32Array(Math.ceil(clip.F / step));
  for (let k = 0; k < spans.length; k++)
    spans[k] = around(clip, k * step, bounds) ? Math.max(bounds[2] - bounds[0], bounds[3] - bounds[1]) : 0;
  spans.sort();
  clip.closeUp = 1.25 * Math.max(10, spans[Math.floor(0.99 * (spans.length - 1))]);
}
