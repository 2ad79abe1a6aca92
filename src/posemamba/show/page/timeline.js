// ---- the timeline: confidence, what was not seen, and stretches that are not to be trusted ------------------------
// It is drawn when what it shows changes; a cursor of its own moves over it.
const at = (f, w) => (F > 1 ? f / (F - 1) : 0.5) * (w - 8) + 4;
const frameUnder = (x, w) => Math.max(0, Math.min(F - 1, Math.round(((x - 4) / Math.max(1, w - 8)) * (F - 1))));
const LEVELS = ["", "look at", "not to be trusted"];
function meanTrust(f) { // of the people that count here
  let sum = 0, count = 0;
  for (let i = 0; i < P; i++) {
    if (!A.counts(i) || !A.seenBy(i, f)) continue;
    sum += A.meanSure(i, f); count++;
  }
  return count ? sum / count : -1;
}
function worst(f) { // {person, stretch}: the worst stretch at a frame among the people that count; null if there is none
  let found = null;
  for (let i = 0; i < P; i++) {
    const stretch = A.counts(i) && A.stretchAt(i, f);
    if (stretch && (!found || stretch[2] > found.stretch[2])) found = { person: i, stretch };
  }
  return found;
}
function drawStrip() { // height: mean confidence; hatched: not seen; bands: how far it can be trusted
  const { c, w, h } = areas.strip, columns = Math.ceil(w - 8), key = `${A.person}`;
  if (key === stripKey) return;
  stripKey = key;
  c.clearRect(0, 0, w, h);
  for (let k = 0; k < columns; k++) {
    const first = Math.floor((k / columns) * F), last = Math.max(first + 1, Math.floor(((k + 1) / columns) * F));
    let missing = false, trust = 0;
    const skip = Math.max(1, Math.floor((last - first) / 8));
    for (let f = first; f < last; f++) {
      if ((f - first) % skip) { missing ||= !A.seen(f); continue; }
      const t = meanTrust(f);
      missing ||= t < 0; trust = Math.max(trust, Math.max(0, t));
    }
    c.fillStyle = colours.bar;
    if (!missing) c.fillRect(4 + k, h - trust * (h - 14), 1.02, trust * (h - 14));
    else { c.fillStyle = colours.gap; for (let y = (k % 6) - 6; y < h; y += 6) c.fillRect(4 + k, h - y, 1, 1.6); }
  }
  bands(c, w, h, 1);
  outside(c, w, h);
}
function outside(c, w, h) { // what is not in the chosen part is veiled
  if (!state.part) return;
  const [x0, x1] = [at(state.part[0] - 0.5, w), at(state.part[1] + 0.5, w)];
  c.fillStyle = colours.panel; c.globalAlpha = 0.72;
  c.fillRect(0, 0, x0, h); c.fillRect(x1, 0, w - x1, h);
  c.globalAlpha = 1; c.fillStyle = colours.accent;
  c.fillRect(x0 - 1, 0, 2, h); c.fillRect(x1 - 1, 0, 2, h);
}
function bands(c, w, h, strength, one = -1) { // of one person, or of all that count: the worst level counts
  const level = (f) => {
    let most = 0;
    for (let i = 0; i < P; i++) if (one < 0 ? A.counts(i) : i === one) most = Math.max(most, A.levels[i][f]);
    return most;
  };
  for (let first = 0, f = 1; f <= F; f++) {
    const own = level(first);
    if (f < F && level(f) === own) continue;
    if (own) {
      const x0 = at(first - 0.5, w), wide = Math.max(3, at(f - 0.5, w) - x0), high = own === 2 ? h : h / 2;
      c.fillStyle = colours[own === 2 ? "bad-band" : "care-band"];
      c.globalAlpha = 0.32 * strength;
      c.fillRect(x0, 0, wide, high);
      c.globalAlpha = strength;
      if (strength === 1) c.fillRect(x0, 0, wide, own === 2 ? 6 : 4);
      c.globalAlpha = 1;
    }
    first = f;
  }
}

// ---- the verdict --------------------------------------------------------------------------------------------------
const KINDS = { good: "good", "use with care": "care", "do not trust": "bad" };
const kindOf = (trust) => KINDS[trust.word] || "care";
const RANK = { good: 0, care: 1, bad: 2 };
function badge(trust, before = "") {
  const span = document.createElement("span");
  span.className = `badge ${kindOf(trust)}`;
  const svg = $("icon-good").ownerSVGElement.cloneNode(false);
  const use = document.createElementNS(svg.namespaceURI, "use");
  use.setAttribute("href", `#icon-${kindOf(trust)}`);
  svg.removeAttribute("hidden"); // a copy of the page's own svg, so that no address of a namespace is written here
  svg.append(use);
  span.append(svg, before + trust.word);
  return span;
}
function sentenceOf(trust) { // the sentence without the word that the badge says already
  let text = trust.sentence || "";
  if (text.toLowerCase().startsWith(trust.word.toLowerCase())) text = text.slice(trust.word.length).replace(/^[\s:;,.–-]+/, "");
  return text;
}
function describeTrust() {
  const judged = data.people.map((person, i) => ({ i, trust: person.trust })).filter(({ i, trust }) => trust && A.counts(i));
  $("verdict").hidden = !judged.length;
  if (!judged.length) return;
  const poorest = judged.reduce((a, b) => (RANK[kindOf(b.trust)] > RANK[kindOf(a.trust)] ? b : a));
  $("verdict").className = kindOf(poorest.trust);
  const who = (i) => (P > 1 ? `person ${data.people[i].number}: ` : ""), sentence = document.createElement("span");
  sentence.className = "sentence";
  sentence.textContent = (judged.length > 1 ? who(poorest.i) : "") + sentenceOf(poorest.trust);
  $("words").replaceChildren(...judged.map(({ i, trust }) => badge(trust, who(i))), sentence);
  $("words").title = judged.map(({ i, trust }) => `${who(i)}${trust.word}: ${trust.sentence}`).join("\n");
  const count = problems().length;
  $("problem-back").disabled = $("problem-next").disabled = !count;
  put($("problem-count"), count ? `${count} in all` : "no problems");
}
function problems() { // [first, last, level, reason, person] of the people that count, in time
  const all = [];
  for (let i = 0; i < P; i++) if (data.people[i].trust && A.counts(i))
    for (const stretch of data.people[i].trust.stretches) all.push([...stretch, i]);
  return all.sort((a, b) => a[0] - b[0] || b[2] - a[2]);
}
function toProblem(direction) { // to the beginning of the next or previous stretch, round at the ends
  const all = problems(), f = state.frame;
  if (!all.length) return;
  const starts = [...new Set(all.map(([first]) => first))];
  const to = direction > 0 ? (starts.find((s) => s > f) ?? starts[0]) : (starts.filter((s) => s < f).pop() ?? starts[starts.length - 1]);
  play(false);
  seek(to);
  put($("problem-count"), `${starts.indexOf(to) + 1} of ${starts.length}`);
}
function doubtText(clip, i, [first, last, level, reason]) {
  const who = clip.P > 1 ? `person ${clip.data.people[i].number}, ` : "";
  return `${who}${first === last ? `frame ${first}` : `frames ${first} to ${last}`}, ${LEVELS[level]}: ${reason}`;
}
function tellDoubt(clip, node, f) { // on the 3D panel, while such a frame is shown
  let found = null;
  if (clip === A) found = worst(f);
  else if (f >= 0) { const stretch = clip.stretchAt(clip.focus, f); found = stretch && { person: clip.focus, stretch }; }
  node.hidden = !found;
  const text = found ? `${found.person} ${found.stretch.join()}` : "";
  if (node.told === text) return;
  node.told = text;
  if (!found) return;
  const [, , level, reason] = found.stretch;
  node.className = `doubt ${level === 2 ? "bad" : "care"}`;
  const who = clip.P > 1 ? `person ${clip.data.people[found.person].number}: ` : "";
  node.replaceChildren(badge({ word: level === 2 ? "do not trust" : "use with care" }), who + reason);
  node.firstChild.lastChild.textContent = LEVELS[level];
}
function put(node, text) { if (node.textContent !== text) node.textContent = text; }
function press(id, on) { const text = String(on); if ($(id).getAttribute("aria-pressed") !== text) $(id).setAttribute("aria-pressed", text); }
