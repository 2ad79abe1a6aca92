// ---- drawing the body on a canvas, where the browser has no WebGL -------------------------------------------------
const painter = { parts: new Float32Array(0), order: [] };
function paintBody(c, clip, f, space, eye) {
  if (painter.parts.length < clip.P * MOST_PARTS * PART) painter.parts = new Float32Array(clip.P * MOST_PARTS * PART);
  const parts = painter.parts, count = f < 0 ? 0 : bodyParts(clip, f, space, parts);
  const ends = [];
  if (state.grid) {
    paintFloor(c, space, eye);
    c.fillStyle = colours.shadow; c.globalAlpha = 0.3;
    for (let k = 0; k < count; k++) {
      const p = parts.subarray(k * PART, (k + 1) * PART);
      hull(c, below(p, 0, space, eye), below(p, 4, space, eye), 0.75);
    }
    c.globalAlpha = 1;
  }
  for (let k = 0; k < count; k++) {
    const p = parts.subarray(k * PART, (k + 1) * PART), a = end(p, 0, eye), b = end(p, 4, eye);
    ends.push({ a, b, depth: a[3] + b[3], p });
  }
  ends.sort((one, other) => other.depth - one.depth); // far ones first
  const [r0, g0, b0] = colours.tones.panel;
  for (const { a, b, p } of ends) {
    const tone = (light) => `rgb(${[p[12], p[13], p[14]].map((v, n) =>
      Math.round(255 * (Math.min(1, v * light) * (1 - p[15]) + [r0, g0, b0][n] * p[15]))).join()})`;
    c.fillStyle = tone(0.5); hull(c, a, b, 1, 0.8);
    c.fillStyle = tone(0.85); hull(c, a, b, 1, -0.4);
    c.fillStyle = tone(1.12); hull(c, lit(a), lit(b), 0.52);
  }
}
function lit(end) { return [end[0] - 0.22 * end[2], end[1] - 0.26 * end[2], end[2], end[3]]; }
function end(p, k, eye) { // -> x, y, radius, depth on the canvas
  project(eye, p[k], p[k + 1], p[k + 2]);
  const flat = 1 - 0.5 * (1 - Math.min(1, p[11]));
  return [drawn[0], drawn[1], p[k + 3] * flat * eye.fit * drawn[3], drawn[2]];
}
function below(p, k, space, eye) {
  project(eye, p[k] + 0.22 * (space.floor - p[k + 1]), space.floor, p[k + 2] + 0.14 * (space.floor - p[k + 1]));
  return [drawn[0], drawn[1], p[k + 3] * eye.fit * drawn[3] * 0.7];
}
function hull(c, a, b, share, more = 0) { // two circles and all between them
  const ra = Math.max(0.3, a[2] * share + more), rb = Math.max(0.3, b[2] * share + more), d = Math.hypot(b[0] - a[0], b[1] - a[1]);
  c.beginPath();
  if (d <= Math.abs(ra - rb) + 1e-3) {
    const [x, y, r] = ra > rb ? [a[0], a[1], ra] : [b[0], b[1], rb];
    c.arc(x, y, r, 0, 7);
  } else {
    const on = Math.atan2(b[1] - a[1], b[0] - a[0]), open = Math.acos((ra - rb) / d);
    c.arc(a[0], a[1], ra, on + open, on - open + 2 * Math.PI);
    c.arc(b[0], b[1], rb, on - open, on + open);
    c.closePath();
  }
  c.fill();
}
function paintFloor(c, space, eye) {
  const [[xa, xb, dx], [za, zb, dz]] = space.grid, floor = space.floor;
  c.strokeStyle = colours.grid; c.lineWidth = 1;
  for (let x = xa; x <= xb + 0.5 * dx; x += dx) floorLine(c, eye, floor, x, za, x, zb);
  for (let z = za; z <= zb + 0.5 * dz; z += dz) floorLine(c, eye, floor, xa, z, xb, z);
}
