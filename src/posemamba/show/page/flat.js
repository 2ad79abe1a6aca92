// ---- the video's picture and the 2D joints ------------------------------------------------------------------------
function line(c, ax, ay, bx, by) { c.beginPath(); c.moveTo(ax, ay); c.lineTo(bx, by); c.stroke(); }
function words(c, text, x, y, colour, align) {
  c.font = "14px system-ui, sans-serif"; c.textAlign = align; c.textBaseline = "middle";
  c.lineWidth = 4; c.strokeStyle = colours.panel; c.strokeText(text, x, y);
  c.fillStyle = colour; c.fillText(text, x, y);
}
function drawFlat(stage = stages[0]) {
  const { clip, flat: area, pictures: own } = stage, { c, w, h } = area, f = frameOf(clip), [W, H] = clip.data.image_size;
  c.clearRect(0, 0, w, h);
  if (f < 0) { clip.onFlat.fill(NaN); return; }
  let x0 = 0, y0 = 0, x1 = W, y1 = H;
  if (state.crop && around(clip, f, bounds)) { // one size over the clip, following the people
    const x = (bounds[0] + bounds[2]) / 2, y = (bounds[1] + bounds[3]) / 2, half = clip.closeUp / 2;
    x0 = x - half; x1 = x + half; y0 = y - half; y1 = y + half;
  }
  const top = area.rows, edge = 6; // room for the caption and the buttons
  const s = Math.min((w - 2 * edge) / (x1 - x0), (h - top - edge) / (y1 - y0));
  const left = (w - s * (x1 - x0)) / 2 - s * x0, up = top + (h - top - edge - s * (y1 - y0)) / 2 - s * y0;
  const film = clip === A && video.ready;
  const source = !state.backdrop ? null : film ? video.element : own.count ? own.at(f) : null;
  if (source) c.drawImage(source, left, up, s * W, s * H);
  c.strokeStyle = colours.edge; c.lineWidth = 1.5;
  c.strokeRect(left, up, s * W, s * H);
  for (let i = 0; i < clip.P; i++) for (let j = 0; j < clip.J; j++) {
    const a = (i * clip.J + j) * 4;
    if (clip.point2(i, f, j)) {
      clip.onFlat[a] = left + s * point[0]; clip.onFlat[a + 1] = up + s * point[1];
      clip.onFlat[a + 2] = 0; clip.onFlat[a + 3] = 1;
    } else clip.onFlat.fill(NaN, a, a + 4);
  }
  const many = clip.P > 1 && clip.person < 0;
  const width = Math.max(1.6, Math.min(6, s * clip.closeUp / (many ? 150 : 80)));
  skeletons(c, clip, f, width, source);
}
function skeletons(c, clip, f, width, source) { // bones and joints over the picture, each with a rim
  const { onFlat: points, J, boneFrom, boneTo, BODY } = clip, rim = source ? "#000" : colours.panel;
  const paints = clip.data.people.map((person, i) => (source ? person.colours.dark : paintOf(clip, i)));
  c.lineCap = "round";
  for (let i = 0; i < clip.P; i++) {
    const dim = clip.counts(i) ? 1 : 0.3;
    for (let b = 0; b < boneFrom.length; b++) {
      const from = boneFrom[b], to = boneTo[b], p = (i * J + from) * 4, q = (i * J + to) * 4;
      if (!(points[p] === points[p] && points[q] === points[q])) continue;
      const wide = width * (to < BODY ? 1 : 0.6), trust = Math.min(clip.sure(i, f, from), clip.sure(i, f, to));
      c.globalAlpha = dim * (0.25 + 0.5 * trust);
      c.strokeStyle = rim; c.lineWidth = wide + 2;
      line(c, points[p], points[p + 1], points[q], points[q + 1]);
      c.globalAlpha = dim * (0.15 + 0.85 * trust);
      c.strokeStyle = paints[i][clip.sides[to]]; c.lineWidth = wide;
      line(c, points[p], points[p + 1], points[q], points[q + 1]);
    }
    for (let j = 0; j < J; j++) {
      const a = (i * J + j) * 4;
      if (points[a] !== points[a]) continue;
      c.globalAlpha = dim * (0.2 + 0.8 * clip.sure(i, f, j));
      c.fillStyle = paints[i][clip.sides[j]];
      c.beginPath(); c.arc(points[a], points[a + 1], (j < BODY ? 0.85 : 0.5) * width, 0, 7); c.fill();
    }
  }
  c.globalAlpha = 1;
  marks(c, clip, points, paints, Boolean(source));
}
