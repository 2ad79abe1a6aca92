// ---- tables and pictures to keep ----------------------------------------------------------------------------------
const baseName = () => data.title.replace(/\.[^.]+$/, "").replace(/[^\p{L}\p{N}._-]+/gu, "_") || "poses";
function keep(name, blob) { // give a file to the browser's downloads
  const link = document.createElement("a"), address = URL.createObjectURL(blob);
  link.href = address; link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
}
const number = (v, digits) => (v === v ? String(Number(v.toFixed(digits))) : "");
const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
function about(clip, i, f) { // the columns that each table begins with
  const stretch = clip.stretchAt(i, f);
  return [f, number(clip.times[f], 6), clip.data.people[i].number, Number(clip.seenBy(i, f)), stretch ? stretch[2] : 0,
    quoted(stretch ? stretch[3] : "")];
}
const ABOUT = ["frame", "time_s", "person", "seen", "trust_level", "trust_reason"];
function anglesTable(clip) { // degrees; empty where not known. trust_level: 0 good, 1 to look at, 2 not to be trusted
  const names = [...new Set(clip.data.people.flatMap((person) => person.angles.map((angle) => angle.name)))];
  const lines = [[...ABOUT, ...names.flatMap((name) => [`${name}_deg`, `${name}_error_deg`, `${name}_edge_on`])].join()];
  clip.data.people.forEach((person, i) => {
    const own = names.map((name) => person.angles.find((angle) => angle.name === name));
    for (let f = 0; f < clip.F; f++) lines.push([...about(clip, i, f), ...own.flatMap((angle) => (!angle ? ["", "", ""]
      : [number(angleAt(angle, f), 3), number(offBy(angle, f), 1), angle.edge_on ? Number(edgeOn(angle, f)) : 0]))].join());
  });
  return lines.join("\n") + "\n";
}
function jointsTable(clip) { // metres in the poses' axes, pixels, confidence; empty where not known
  const { joints } = clip.data;
  const lines = [[...ABOUT, ...joints.flatMap((j) => [`${j}_x_m`, `${j}_y_m`, `${j}_z_m`, `${j}_u_px`, `${j}_v_px`, `${j}_confidence`])].join()];
  for (let i = 0; i < clip.P; i++) for (let f = 0; f < clip.F; f++) {
    const row = about(clip, i, f);
    for (let j = 0; j < clip.J; j++) {
      row.push(...(clip.placed3(i, f, j) ? Array.from(point, (v) => number(v, 5)) : ["", "", ""]));
      row.push(...(clip.point2(i, f, j) ? [number(point[0], 2), number(point[1], 2)] : ["", ""]), number(clip.sure(i, f, j), 3));
    }
    lines.push(row.join());
  }
  return lines.join("\n") + "\n";
}
function viewPicture() { // the 3D panels side by side, as they are shown
  const all = stages.map(({ area, renderer }) => ({ area, renderer })), ratio = devicePixelRatio || 1, margin = Math.round(34 * ratio);
  const canvas = document.createElement("canvas"), c = canvas.getContext("2d");
  canvas.width = all.reduce((sum, { area }) => sum + area.canvas.width, 0);
  canvas.height = Math.max(...all.map(({ area }) => area.canvas.height)) + margin;
  c.fillStyle = colours.panel; c.fillRect(0, 0, canvas.width, canvas.height);
  let x = 0;
  stages.forEach((stage) => {
    drawSolid(stage); // what WebGL drew can be read only in the same task
    if (stage.renderer.gl) c.drawImage(stage.renderer.canvas, x, margin, stage.area.canvas.width, stage.area.canvas.height);
    c.drawImage(stage.area.canvas, x, margin);
    x += stage.area.canvas.width;
  });
  c.fillStyle = colours.text; c.font = `${Math.round(15 * ratio)}px system-ui, sans-serif`; c.textBaseline = "middle";
  c.fillText(`${data.title}${clips.length > 1 ? ` and ${clips[1].data.title}` : ""}, frame ${state.frame}, ${times[state.frame].toFixed(2)} s`, 10 * ratio, margin / 2);
  return canvas;
}
function plotPicture() { // the plot with its heading
  const { canvas } = areas.chart, ratio = devicePixelRatio || 1, margin = Math.round(30 * ratio);
  const picture = document.createElement("canvas"), c = picture.getContext("2d");
  picture.width = canvas.width; picture.height = canvas.height + margin;
  c.fillStyle = colours.panel; c.fillRect(0, 0, picture.width, picture.height);
  c.drawImage(canvas, 0, margin);
  c.font = `600 ${Math.round(15 * ratio)}px system-ui, sans-serif`; c.textBaseline = "middle"; c.fillStyle = colours.text;
  const heading = `${data.title}: ${$("angle").selectedOptions[0].text}`;
  c.fillText(heading, 8 * ratio, margin / 2);
  let x = 8 * ratio + c.measureText(heading).width + 18 * ratio;
  for (const one of areas.chart.curves) {
    c.strokeStyle = c.fillStyle = one.colour; c.lineWidth = 3 * ratio; c.setLineDash(one.dotted ? [2 * ratio, 4 * ratio] : []);
    line(c, x, margin / 2, x + 22 * ratio, margin / 2);
    c.fillText(one.name, x + 28 * ratio, margin / 2);
    x += 46 * ratio + c.measureText(one.name).width;
  }
  return picture;
}
function saved(what) { // -> {name, blob}, a promise
  const table = (text, name) => Promise.resolve({ name, blob: new Blob([text], { type: "text/csv" }) });
  const picture = (canvas, name) => new Promise((done) => canvas.toBlob((blob) => done({ name, blob }), "image/png"));
  if (what === "angles") return table(anglesTable(A), `${baseName()}_angles.csv`);
  if (what === "joints") return table(jointsTable(A), `${baseName()}_joints.csv`);
  if (what === "plot") {
    if (!state.plots) setPlots(true);
    draw();
    return picture(plotPicture(), `${baseName()}_${$("angle").value.replace("@", "")}.png`);
  }
  return picture(viewPicture(), `${baseName()}_frame_${state.frame}.png`);
}
for (const button of document.querySelectorAll("[data-save]")) button.onclick = () => {
  $("save").open = false;
  saved(button.dataset.save).then(({ name, blob }) => keep(name, blob));
};
