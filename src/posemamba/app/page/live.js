// ---- the page: settings, numbers, recording -----------------------------------------------------------------------
const $ = (id) => document.getElementById(id);
const measured = { delays: [], times: [], drawn: 0 }; // of the last poses, for the numbers; a test reads them, too
const SETTINGS = ["height", "detector", "delay", "fov"];
const NAMES = { knee_flexion: "Knee", hip_flexion: "Hip, forward", hip_abduction: "Hip, outward", ankle_dorsiflexion: "Ankle", elbow_flexion: "Elbow",
  shoulder_flexion: "Shoulder, forward", shoulder_abduction: "Shoulder, outward", shoulder_elevation: "Arm, from the trunk", trunk_flexion: "Trunk, bent", trunk_rotation: "Trunk, turned" };
let camera = null, recording = false, asked = 0, settled = 0;

function number(text) { return Number(text.trim().replace(",", ".").replace(/\s*(m|cm|°)$/i, "")); }
/** The settings as the server takes them; null, and a line at the field, where one has no meaning. */
function settings() {
  const wrong = (text) => { $("height-error").textContent = text; $("height-error").hidden = !text; return null; };
  wrong("");
  let height = $("height").value.trim() ? number($("height").value) : null;
  if (height !== null && height > 3) height /= 100; // in centimetres
  if (height !== null && !(height >= 0.4 && height <= 2.6)) return wrong("Height: expected metres, e.g. 1.78.");
  const fov = $("fov").value.trim() ? number($("fov").value) : null;
  if (fov !== null && !(fov >= 2 && fov <= 170)) return wrong("Field of view: expected 2 to 170 degrees.");
  return { detector: $("detector").value, delay: Number($("delay").value), height, field_of_view: fov };
}
function tell(text, bad = false) { $("message").textContent = text; $("message").classList.toggle("error", bad); }

async function start() {
  const chosen = settings();
  if (!chosen) return;
  const own = (camera = new Camera($("film"), show, word));
  $("run").textContent = "Stop";
  tell("Opening the camera…");
  try {
    await own.open($("camera").value);
  } catch (error) {
    if (camera === own) stop(error.message, true);
    return;
  }
  if (camera !== own) { own.stop(); return; }
  listCameras();
  own.connect(chosen);
}
function stop(text = "Stopped.", bad = false) {
  camera?.stop();
  camera = null;
  setRecording(false);
  $("record").disabled = true;
  $("run").textContent = "Start the camera";
  Object.assign(measured, { delays: [], times: [], drawn: 0 });
  showNumbers();
  if (bad || !$("message").querySelector("a")) tell(text, bad); // the way to a recording stays
}
async function listCameras() {
  const all = (await navigator.mediaDevices.enumerateDevices()).filter((one) => one.kind === "videoinput"), now = $("camera").value;
  $("camera").replaceChildren(new Option("The system's choice", ""), ...all.map((one, k) => new Option(one.label || `Camera ${k + 1}`, one.deviceId)));
  $("camera").value = all.some((one) => one.deviceId === now) ? now : "";
}
function word(message) { // what the server says besides poses
  if (message.type === "loading") tell("Loading the detector and the model…");
  if (message.type === "start") {
    scene.init(message.joints, message.parents);
    $("record").disabled = false;
    tell("Stand so that the whole body is in the picture.");
  }
  if (message.type === "error" || message.type === "lost") stop(message.text, true);
  if (message.type === "recording") setRecording(true);
  if (message.type === "not recorded") { setRecording(false); tell(message.text, true); }
  if (message.type === "recorded") lift(message);
}

function show(pose, picture, taken) {
  scene.pose = pose.seen ? pose : null;
  if (picture) scene.picture = picture;
  requestAnimationFrame(() => {
    if (!camera) return;
    drawFlat();
    // where the processor draws the body too, it leaves time for the poses
    const now = performance.now();
    if (!scene.slow || now - scene.solidAt > 150) { scene.solidAt = now; drawSolid(); }
    if (taken !== null) {
      measured.delays.push(performance.now() - taken);
      measured.times.push(performance.now());
      measured.drawn += 1;
      if (measured.times.length > 600) { measured.times.shift(); measured.delays.shift(); }
    }
    if (now - settled > 200) { settled = now; showNumbers(); showAngles(); }
  });
}
function showNumbers() {
  const { times, delays } = measured, recent = times.filter((time) => time > performance.now() - 2000).length;
  const { pose } = scene, shown = camera && recent > 1;
  $("rate").textContent = shown ? (recent / Math.min(2, Math.max(0.2, (times.at(-1) - times[0]) / 1000))).toFixed(1) : "–";
  const last = delays.slice(-30).sort((a, b) => a - b);
  $("late").textContent = shown ? `${Math.round(last[last.length >> 1])} ms` : "–";
  $("away").textContent = camera && pose ? `${Math.hypot(...pose.xyz[0]).toFixed(2)} m` : "–";
  const known = camera && pose?.expected_mm?.slice(1, 17);
  $("off").textContent = known ? `${Math.round(known.reduce((a, b) => a + b) / known.length)} mm` : "–";
  const level = !camera || !measured.drawn ? "" : pose ? ["good", "care", "bad"][pose.trust] : "bad";
  $("trust").className = `level ${level}`;
  const says = { good: "The pose can be used.", care: "Look at it", bad: "Do not trust it" }[level] ?? "";
  $("trust").textContent = !level ? "" : pose ? says + (pose.reason ? `: ${pose.reason}.` : "") : "Nobody is seen.";
}
function showAngles() {
  const { pose } = scene, cell = (name) => {
    const td = document.createElement("td"), value = pose?.angles?.[name], off = pose?.angle_errors?.[name], small = document.createElement("small");
    small.textContent = off === undefined || value === undefined ? "" : `±${Math.round(off)}`;
    td.append(value === undefined ? "–" : `${Math.round(value)}`.replace("-", "−"), small);
    return td;
  };
  $("angles").tBodies[0].replaceChildren(...Object.entries(NAMES).map(([name, words]) => {
    const row = document.createElement("tr"), head = document.createElement("th");
    head.scope = "row";
    head.textContent = words;
    if (name.startsWith("trunk")) { const one = cell(name); one.colSpan = 2; row.append(head, one); }
    else row.append(head, cell(`left_${name}`), cell(`right_${name}`));
    return row;
  }));
}

function setRecording(on) {
  recording = on;
  asked = on ? performance.now() : 0;
  document.body.classList.toggle("recording", on);
  for (const name of [...SETTINGS, "camera"]) $(name).disabled = on;
  showRecorded();
}
function showRecorded() {
  const seconds = Math.floor((performance.now() - asked) / 1000);
  $("record-words").textContent = recording ? `End, ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}` : "Record";
}
async function lift({ job, frames }) { // the recording becomes a result like any other, from the joints that were found
  setRecording(false);
  const height = settings()?.height ?? null;
  const options = { detector: $("detector").value === "heavy" ? "" : $("detector").value, height: height === null ? "" : String(height), fov: $("fov").value.trim().replace(",", ".") };
  try {
    const answer = await fetch("/api/start", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ jobs: [job], options }) });
    if (!answer.ok) throw new Error((await answer.json()).error);
    const link = document.createElement("a");
    Object.assign(link, { href: `/#/job/${job}`, target: "_blank", textContent: "Open the result" });
    tell(`Recorded: ${frames} pictures, which are lifted now. `);
    $("message").append(link);
  } catch (error) { tell(`The recording cannot be lifted: ${error.message}`, true); }
}

$("run").addEventListener("click", () => (camera ? stop() : start()));
$("record").addEventListener("click", () => camera?.say({ type: "record", on: !recording }));
for (const name of SETTINGS) $(name).addEventListener("change", () => { const chosen = settings(); if (chosen && camera?.socket) camera.change(chosen); });
$("camera").addEventListener("change", () => { if (camera) { stop(); start(); } });
$("mirror").addEventListener("change", () => { scene.mirror($("mirror").checked); drawFlat(); drawSolid(); });
$("discs").addEventListener("change", () => { scene.discs = $("discs").checked; drawSolid(); });
$("settings").addEventListener("submit", (event) => event.preventDefault());
addEventListener("theme", () => { setColours(); drawFlat(); drawSolid(); });
addEventListener("resize", () => { drawFlat(); drawSolid(); });
addEventListener("pagehide", () => camera?.stop());
setInterval(() => recording && showRecorded(), 500);
fetch("/live/settings").then((answer) => answer.json()).then(({ detectors, detector, delay }) => {
  for (const option of [...$("detector").options]) if (!detectors.includes(option.value)) option.remove();
  if (!camera) { $("detector").value = detector; $("delay").value = String(delay); }
});
setColours();
listenToPointer();
showNumbers();
showAngles();
