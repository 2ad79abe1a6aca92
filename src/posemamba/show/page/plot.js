// ---- angles over time: left and right together, and of both clips compared ----------------------------------------
const plain = (name) => name.replace(/^(left|right)_/, "");
const spoken = (name) => name.replaceAll("_", " ");
function angleGroups(clip, i) { // [{name, all: [angles]}]: those of left and right under one name
  const groups = new Map();
  for (const angle of clip.data.people[i].angles) {
    const name = plain(angle.name);
    if (!groups.has(name)) groups.set(name, { name, all: [] });
    groups.get(name).all.push(angle);
  }
  return [...groups.values()];
}
const sideOf = (name) => (name.startsWith("left_") ? 0 : name.startsWith("right_") ? 1 : 2);
const SIDES = ["left", "right", ""];

function listAngles() { // angles, confidence and expected errors
  const select = $("angle"), i = focus(), kept = select.value, groups = angleGroups(A, i);
  const options = groups.map(({ name }) => new Option(spoken(name), name));
  if (data.people[i].expected) options.push(new Option("expected error of joints", "@expected"));
  options.push(new Option("confidence of joints", "@confidence"));
  select.replaceChildren(...options);
  if (options.some((option) => option.value === kept)) select.value = kept;
  $("ranges").hidden = !groups.length;
}
function curves() { // what is plotted now: [{name, colour, value(f), band(f), pale(f), dotted, unit, clip, range}]
  const what = $("angle").value, all = [], own = focus();
  for (const clip of clips) {
    const i = clip === A ? own : clip.focus, frame = clip === A ? (f) => f : otherFrame, B = clip !== A;
    const label = clips.length > 1 ? (B ? "B " : "A ") : "";
    const known = (f) => { const g = frame(f); return g < 0 || g >= clip.F ? -1 : g; };
    const curve = (name, side, value, band, pale) => all.push({
      name: label + name, colour: colours[["left", "right", "middle"][side]], unit: what.startsWith("@") ? (what === "@expected" ? " mm" : "") : "°",
      digits: what === "@confidence" ? 2 : 0, value: (f) => { const g = known(f); return g < 0 ? NaN : value(g); },
      band: (f) => { const g = known(f); return g < 0 ? NaN : band(g); }, pale: (f) => { const g = known(f); return g >= 0 && pale(g); },
      dotted: B, clip, i,
    });
    const no = () => NaN, never = () => false;
    if (what.startsWith("@")) {
      const j = state.pin.clip === A ? state.pin.joint : -1, name = j < 0 ? "mean of all joints" : spoken(data.joints[j]);
      if (what === "@expected") curve(name, j < 0 ? 2 : clip.sides[j], (f) => (clip.seenBy(i, f) ? clip.errorAt(i, f, j) : NaN), no, never);
      else curve(name, j < 0 ? 2 : clip.sides[j],
        (f) => (!clip.seenBy(i, f) ? NaN : j < 0 ? clip.meanSure(i, f) : clip.sure(i, f, j)), no, never);
    } else for (const angle of clip.data.people[i].angles) {
      if (plain(angle.name) !== what) continue;
      const side = sideOf(angle.name);
      curve(SIDES[side] || spoken(what), side, (f) => angleAt(angle, f), (f) => offBy(angle, f), (f) => edgeOn(angle, f));
    }
  }
  return all;
}
function otherFrame(f) { return clips[1].frameAt(times[f] + state.offset + 0.25 / clips[1].data.fps); }

const CHART = { left: 4, top: 34, below: 20 };
function nice(span, most) { // a step of 1, 2, 3, 5 or a power of ten of these, of which at most `most` make `span`
  const ten = 10 ** Math.floor(Math.log10(span / most || 1));
  return [1, 2, 3, 5, 10].map((m) => m * ten).find((s) => span / s <= most) || 10 * ten;
}
function drawChart() {
  if (!state.plots) return;
  const { c, w, h } = areas.chart, what = $("angle").value, i = focus();
  const key = `${i} ${state.pin.joint} ${what} ${clips.length} ${state.offset} ${clips.length > 1 && clips[1].person}`;
  drawRanges();
  if (key !== chartKey) {
    chartKey = key;
    const all = curves();
    areas.chart.curves = all;
    c.clearRect(0, 0, w, h);
    bands(c, w, h, 0.5, i);
    outside(c, w, h);
    let low = Infinity, high = -Infinity;
    const stride = Math.max(1, Math.floor(F / 20000));
    for (const { value, band } of all) for (let f = 0; f < F; f += stride) {
      const v = value(f), off = Math.min(band(f) || 0, 45);
      if (v - off < low) low = v - off;
      if (v + off > high) high = v + off;
    }
    if (high < low) { low = 0; high = 1; }
    if (what === "@confidence") { low = 0; high = 1; }
    if (what === "@expected") low = 0;
    if (high - low < 1e-6) { low -= 1; high += 1; }
    CHART.top = w > 560 ? 34 : innerWidth > 760 ? 54 : 84; // the values stand above the curves
    const top = CHART.top, tall = h - top - CHART.below, y = (v) => top + tall - ((v - low) / (high - low)) * tall;
    const stepY = nice(high - low, Math.max(2, tall / 34)), stepX = nice(A.ends - times[0], w / 90);
    c.lineWidth = 1; c.strokeStyle = colours.grid;
    c.font = "12px system-ui, sans-serif"; c.textBaseline = "middle";
    for (let v = Math.ceil(low / stepY) * stepY; v <= high + 1e-9; v += stepY) {
      c.globalAlpha = Math.abs(v) < 1e-9 ? 1 : 0.55;
      line(c, 4, y(v), w - 4, y(v));
    }
    c.globalAlpha = 1; c.fillStyle = colours.soft; c.textAlign = "center";
    for (let t = Math.ceil(times[0] / stepX) * stepX; t < A.ends; t += stepX) {
      const x = at(A.frameAt(t), w);
      if (x < 18 || x > w - 18) continue;
      line(c, x, h - CHART.below, x, h - CHART.below + 4);
      c.fillText(`${Number(t.toFixed(3))} s`, x, h - 8);
    }
    for (const one of all) if (!one.dotted) area(c, w, y, one);
    for (const one of all) {
      c.lineWidth = one.dotted ? 2 : 2.2; c.strokeStyle = one.colour;
      c.setLineDash(one.dotted ? [2, 4] : []);
      plot(c, w, y, (f) => (one.pale(f) ? NaN : one.value(f)));
      c.globalAlpha = 0.45; c.lineWidth = 1.4;
      plot(c, w, y, (f) => (one.pale(f) || one.pale(f - 1) || one.pale(f + 1) ? one.value(f) : NaN));
      c.globalAlpha = 1; c.setLineDash([]);
    }
    c.textAlign = "left"; c.lineWidth = 3; c.strokeStyle = colours.panel; c.fillStyle = colours.soft;
    for (let v = Math.ceil(low / stepY) * stepY; v <= high + 1e-9; v += stepY) {
      const text = `${Number(v.toFixed(6))}${all[0] ? all[0].unit : ""}`;
      c.strokeText(text, 8, y(v)); c.fillText(text, 8, y(v));
    }
    areas.chart.y = y;
  }
  drawValues();
}
function columnsOf(w, each) { // each(x, first, last) for every frame, or for every column of pixels that holds several
  const columns = Math.ceil(w - 8);
  if (F <= 2 * columns) for (let f = 0; f < F; f++) each(at(f, w), f, f + 1);
  else for (let k = 0; k < columns; k++) each(4 + k, Math.floor((k / columns) * F), Math.floor(((k + 1) / columns) * F));
}
function plot(c, w, y, value) { // a curve; NaN where there is nothing
  let open = false, before = 0;
  c.beginPath();
  columnsOf(w, (x, first, last) => {
    let least = Infinity, most = -Infinity;
    for (let f = first; f < last; f++) {
      const v = value(f);
      if (v < least) least = v;
      if (v > most) most = v;
    }
    if (most < least) { open = false; return; }
    if (open && Math.abs(most - before) < 180) c.lineTo(x, y(most)); else { c.moveTo(x, y(most)); if (F === 1) c.lineTo(x + 3, y(most)); }
    if (least < most) c.lineTo(x, y(least));
    open = true; before = least; // an angle that passes 180° goes on at -180°
  });
  c.stroke();
}
function area(c, w, y, { value, band, colour }) { // the expected error about a curve
  let upper = [], lower = [];
  const close = () => {
    if (upper.length > 1) {
      c.beginPath();
      upper.forEach(([x, v], k) => (k ? c.lineTo(x, v) : c.moveTo(x, v)));
      lower.reverse().forEach(([x, v]) => c.lineTo(x, v));
      c.closePath(); c.fill();
    }
    upper = []; lower = [];
  };
  c.save();
  c.beginPath(); c.rect(0, CHART.top - 4, w, areas.chart.h - CHART.top - CHART.below + 8); c.clip();
  c.globalAlpha = 0.15; c.fillStyle = colour;
  columnsOf(w, (x, first, last) => {
    let least = Infinity, most = -Infinity;
    for (let f = first; f < last; f++) {
      const v = value(f), off = band(f);
      if (v - off < least) least = v - off;
      if (v + off > most) most = v + off;
    }
    if (most < least) close(); else { upper.push([x, y(most)]); lower.push([x, y(least)]); }
  });
  close();
  c.restore();
}
function drawValues() { // of the frame under the pointer, or of the one that is shown
  const f = state.hair >= 0 ? state.hair : state.frame, all = areas.chart.curves || [], texts = [];
  const told = f + " " + chartKey;
  if (valuesKey === told) return;
  valuesKey = told;
  const time = document.createElement("span");
  time.textContent = `${times[f].toFixed(2)} s`;
  texts.push(time);
  for (const one of all) {
    const v = one.value(f), off = one.band(f), span = document.createElement("span"), bold = document.createElement("b");
    bold.textContent = one.name;
    bold.style.setProperty("--c", one.colour);
    span.append(bold, " " + (v === v ? v.toFixed(one.digits) + one.unit + (off === off ? ` ± ${off.toFixed(0)}°` : "") : "not known")
      + (v === v && one.pale(f) ? " (edge-on)" : ""));
    texts.push(span);
  }
  const [left, right] = [0, 1].map((k) => (all[k] && all[k].clip === A ? all[k].value(f) : NaN));
  if (all.length === 2 && areas.chart.w > 560 && $("angle").value[0] !== "@" && Math.abs(left - right) < 180) {
    const span = document.createElement("span");
    span.textContent = `difference ${Math.abs(left - right).toFixed(0)}°`;
    texts.push(span);
  }
  const stretch = A.stretchAt(focus(), f);
  if (stretch && state.hair >= 0) { const span = document.createElement("span"); span.textContent = LEVELS[stretch[2]]; texts.push(span); }
  $("values").replaceChildren(...texts);
}

// ---- range of motion ----------------------------------------------------------------------------------------------
function drawRanges() {
  const i = focus(), key = `${i} ${clips.length} ${state.offset} ${clips.length > 1 && clips[1].focus} ${$("angle").value}`;
  if (key === rangesKey) return;
  rangesKey = key;
  const groups = angleGroups(A, i), both = clips.length > 1, table = document.createElement("table");
  const add = (parent, tag, text, title = "") => {
    const node = document.createElement(tag);
    if (text !== null) node.textContent = text;
    if (title) node.title = title;
    parent.append(node);
    return node;
  };
  const trusted = data.people[i].trust ? " over the frames that can be trusted" : "";
  const heading = document.createElement("p");
  heading.textContent = `Range of motion, least … most (range)°${P > 1 ? `, person ${data.people[i].number}` : ""}`
    + (state.part ? `, frames ${state.part[0]} to ${state.part[1]}` : "");
  heading.title = `least and greatest value${trusted}`;
  const head = add(add(table, "thead", null), "tr", null);
  for (const name of ["angle", ...(both ? ["A left", "A right", "B left", "B right"] : ["left", "right"])])
    add(head, "th", name).scope = "col";
  const body = add(table, "tbody", null);
  for (const { name } of groups) {
    const row = add(body, "tr", null), first = add(row, "th", null), button = add(first, "button", spoken(name), "plot it");
    first.scope = "row";
    if ($("angle").value === name) row.className = "chosen";
    button.onclick = () => { $("angle").value = name; stale(); };
    for (const clip of clips) {
      const own = clip === A ? i : clip.focus, found = clip.data.people[own].angles.filter((angle) => plain(angle.name) === name);
      const middle = found.find((angle) => sideOf(angle.name) === 2);
      const cells = middle ? [middle] : [0, 1].map((side) => found.find((angle) => sideOf(angle.name) === side));
      for (const angle of cells) {
        const cell = add(row, "td", null), range = angle && rangeOf(clip, own, angle);
        if (middle) { cell.colSpan = 2; cell.style.textAlign = "center"; }
        if (!range || !range.frames) { cell.textContent = "–"; cell.title = "no frame in which it is known and can be trusted"; continue; }
        if (range.most - range.least > 300) { cell.textContent = "–"; cell.title = "goes round past 180°: a range would mean nothing"; continue; }
        const vague = range.edge > range.frames / 2;
        const least = Math.round(range.least), most = Math.round(range.most);
        cell.append(`${vague ? "~ " : ""}${least} … ${most} `);
        add(cell, "b", `(${most - least})`);
        cell.title = `least in frame ${range.atLeast}, most in frame ${range.atMost}; over ${range.frames} of ${range.of} frames`
          + (range.off === range.off ? `; expected error ± ${(range.off / range.frames).toFixed(0)}° on average` : "")
          + (vague ? "; edge-on in most of them: the picture hardly tells" : "");
      }
    }
  }
  $("ranges").replaceChildren(heading, table);
}
