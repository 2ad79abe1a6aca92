// ---- the body around the joints: tapered capsules, some of them flattened -----------------------------------------
// A part is 16 numbers: end a and its radius, end b and its radius, the direction in which it is flattened and by how
// much (1: round), its colour (red, green, blue, 0 to 1) and how far its colour is mixed with the background.
const PART = 16, MOST_PARTS = 32; // of one person
const sub = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
const along = (a, d, t) => [a[0] + d[0] * t, a[1] + d[1] * t, a[2] + d[2] * t];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const mix = (a, b, t) => [a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t];
const unit = (a) => { const n = Math.hypot(...a); return n > 1e-9 ? [a[0] / n, a[1] / n, a[2] / n] : [0, 0, 0]; };
const across = (a, d) => unit(along(a, d, -dot(a, d))); // the part of `a` that is perpendicular to the unit vector `d`

function bodyParts(clip, f, space, out) { // -> how many parts were written to `out`
  let count = 0;
  for (let i = 0; i < clip.P; i++) {
    if (!space.place(i, f, 0)) continue;
    const s = clip.size[i], theme = paint(clip, i), dim = clip.counts(i) ? 0 : 0.72;
    const at = (name) => {
      const j = clip.joint[name];
      return j !== undefined && space.place(i, f, j) ? [point[0], point[1], point[2]] : null;
    };
    const sure = (name) => (clip.joint[name] === undefined ? 1 : clip.sure(i, f, clip.joint[name]));
    const part = (a, ra, b, rb, side, trust, flat = [0, 0, 0], q = 1) => {
      if (!a || !b) return;
      const [red, green, blue] = theme[side], k = PART * count++;
      out.set(a, k); out[k + 3] = ra * s; out.set(b, k + 4); out[k + 7] = rb * s; out.set(flat, k + 8); out[k + 11] = q;
      out[k + 12] = red; out[k + 13] = green; out[k + 14] = blue;
      out[k + 15] = Math.max(dim, 0.78 * (1 - trust));
    };
    const pelvis = at("pelvis"), spine = at("spine"), thorax = at("thorax"), nose = at("nose"), top = at("head_top");
    const hips = [at("left_hip"), at("right_hip")], shoulders = [at("left_shoulder"), at("right_shoulder")];
    if (!(pelvis && spine && thorax && nose && top && hips[0] && hips[1] && shoulders[0] && shoulders[1])) continue;
    const ahead = unit(cross(sub(hips[0], hips[1]), sub(spine, pelvis)));
    const chest = unit(cross(sub(shoulders[0], shoulders[1]), sub(thorax, spine)));
    const trunk = Math.min(sure("spine"), sure("thorax"), sure("pelvis"));
    part(hips[0], 0.084, hips[1], 0.084, 2, trunk, ahead, 0.86);
    part(pelvis, 0.125, spine, 0.12, 2, trunk, ahead, 0.72);
    part(spine, 0.12, mix(spine, thorax, 0.8), 0.145, 2, trunk, chest, 0.64);
    const high = unit(sub(thorax, spine));
    part(mix(along(shoulders[0], high, -0.02 * s), thorax, 0.15), 0.062, mix(along(shoulders[1], high, -0.02 * s), thorax, 0.15),
      0.062, 2, trunk, chest, 0.95);
    // head: the line from the neck to its top, the nose ahead of it
    const up = unit(sub(top, thorax)), face = Math.min(sure("nose"), sure("head_top"));
    const centre = mix(nose, top, 0.42), front = across(along(chest, across(sub(nose, thorax), up), 0.6), up);
    part(mix(thorax, centre, 0.1), 0.058, mix(thorax, centre, 0.7), 0.052, 2, Math.min(trunk, face));
    part(along(centre, up, -0.045 * s), 0.078, along(centre, up, 0.035 * s), 0.097, 2, face, front, 1.1);
    part(along(along(centre, front, 0.085 * s), up, -0.01 * s), 0.016, along(along(centre, front, 0.1 * s), up, -0.035 * s), 0.02, 2, face);
    for (const [side, name] of [[0, "left"], [1, "right"]]) {
      const shoulder = shoulders[side], elbow = at(`${name}_elbow`), wrist = at(`${name}_wrist`);
      const hip = hips[side], knee = at(`${name}_knee`), ankle = at(`${name}_ankle`);
      const arm = Math.min(sure(`${name}_shoulder`), sure(`${name}_elbow`)), hand = Math.min(arm, sure(`${name}_wrist`));
      const thigh = Math.min(sure(`${name}_hip`), sure(`${name}_knee`)), shank = Math.min(thigh, sure(`${name}_ankle`));
      part(shoulder, 0.058, elbow, 0.041, side, arm);
      part(elbow, 0.042, wrist, 0.029, side, hand);
      if (elbow && wrist) { // the hand goes on along the forearm
        const on = unit(sub(wrist, elbow)), palm = across(cross(on, up), on);
        part(along(wrist, on, 0.035 * s), 0.034, along(wrist, on, 0.115 * s), 0.026, side, hand, palm, 0.55);
      }
      part(along(hip, unit(sub(pelvis, hip)), 0.005), 0.09, knee, 0.056, side, thigh);
      part(knee, 0.057, ankle, 0.037, side, shank);
      if (knee && ankle) part(mix(knee, ankle, 0.12), 0.056, mix(knee, ankle, 0.45), 0.05, side, shank);
      if (!ankle || !knee) continue;
      let heel = at(`${name}_heel`), toe = at(`${name}_toe`), foot = shank;
      if (heel && toe) foot = Math.min(shank, Math.max(sure(`${name}_heel`), 0.3), Math.max(sure(`${name}_toe`), 0.3));
      else { // not measured: straight ahead, square to the shank
        const down = unit(sub(ankle, knee)), on = across(ahead, down);
        heel = along(along(ankle, down, 0.045 * s), on, -0.045 * s);
        toe = along(along(ankle, down, 0.055 * s), on, 0.17 * s);
      }
      const sole = unit(cross(sub(toe, heel), cross(sub(ankle, heel), sub(toe, heel))));
      part(ankle, 0.04, mix(heel, ankle, 0.25), 0.036, side, foot);
      part(heel, 0.034, toe, 0.029, side, foot, sole, 0.85);
      part(mix(ankle, heel, 0.25), 0.038, mix(heel, toe, 0.68), 0.037, side, foot);
    }
  }
  return count;
}
function paint(clip, i) { // red, green and blue, 0 to 1, of left, right and middle in this theme
  const own = clip.data.people[i], dark = document.documentElement.dataset.theme === "dark";
  own.rgb ||= {};
  return (own.rgb[dark] ||= own.colours[dark ? "dark" : "light"].map((css, side) => rgb(side === 2 && clip.P === 1 ? colours.body : css)));
}
function rgb(css) { return [1, 3, 5].map((k) => parseInt(css.slice(k, k + 2), 16) / 255); }
