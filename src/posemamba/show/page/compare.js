// ---- a second result beside this one, in time with it -------------------------------------------------------------
function complain(text) {
  put($("message"), text);
  $("message").hidden = !text;
  clearTimeout(complain.timer);
  if (text) complain.timer = setTimeout(() => { $("message").hidden = true; }, 9000);
}
function readResult(text, name) { // -> {clip, pictures} of a viewer.html or a poses.json; nothing in it is run
  const page = /<script type="application\/json" id="data">([^]*?)<\/script>/.exec(text);
  if (page) {
    const strip = /<script type="text\/plain" id="pictures">([^<]*)<\/script>/.exec(text);
    const clip = fromPage(JSON.parse(page[1])), fine = paintOfOne();
    for (const person of clip.data.people) person.trust = trustOf(person.trust);
    for (const person of clip.data.people) for (const theme of ["light", "dark"]) // colours are set as styles: only colours
      person.colours[theme] = fine[theme].map((own, k) => (/^#[0-9a-f]{6}$/.test(person.colours[theme][k]) ? person.colours[theme][k] : own));
    return { clip, pictures: openPictures(clip, strip ? strip[1] : "") };
  }
  const file = JSON.parse(text);
  if (!String(file.format).startsWith("posemamba-poses")) throw new Error("it is another kind of file");
  const clip = fromPoses(file, file.source || name);
  return { clip, pictures: openPictures(clip, "") };
}
function compareWith(file) {
  return file.text().then((text) => {
    let found;
    try { found = readResult(text, file.name); }
    catch (error) { complain(`${file.name}: is no result to compare with (${error.message}); expected a viewer.html or poses.json of posemamba lift`); return; }
    complain("");
    closeOther();
    const { clip, pictures: own } = found;
    measureCloseUp(clip);
    clips.push(clip);
    stages.push(newStage(clip, own, "-b"));
    state.offset = 0;
    $("offset").value = "0";
    $("offset").step = String(Number((1 / clip.data.fps).toFixed(4)));
    if (state.space === "path" && !wish.has("space")) state.space = "pelvis";
    put($("other-name"), `${clip.data.title} · ${clip.data.about}${clip.data.people.some((p) => p.angles.length) ? "" : " · no angles in this file: open its viewer.html for them"}`);
    $("other-person").replaceChildren(...clip.data.people.map((person, i) => new Option(`person ${person.number}`, i)));
    $("other-person").hidden = clip.P === 1;
    if (clip.P > 1) clip.person = 0;
    describeOther();
    showStages();
  });
}
function describeOther() {
  const { trust } = clips[1].data.people[clips[1].focus];
  $("other-verdict").replaceChildren(...(trust ? [badge(trust)] : []));
  $("other-verdict").title = trust ? trust.sentence : "";
}
function closeOther() {
  clips.length = stages.length = 1;
  showStages();
}
function showStages() {
  const both = clips.length > 1;
  document.body.classList.toggle("compares", both);
  for (const node of document.querySelectorAll(".other")) node.hidden = !both;
  $("compare-bar").hidden = !both;
  put($("compare"), both ? "Compare: other…" : "Compare…");
  setView(state.view || state.began);
  listAngles(); describePeople();
  stale(); resize();
}
function shift(seconds) { // move B in time
  state.offset = Number.isFinite(seconds) ? seconds : 0;
  chartKey = ""; dirty = true;
}
function nudge(frames) {
  if (clips.length === 1) return;
  shift(Number((state.offset + frames / clips[1].data.fps).toFixed(4)));
  $("offset").value = String(state.offset);
}
function receive(file) { // a file that was dropped on the page
  if (/\.(html?|json)$/i.test(file.name)) return compareWith(file);
  if (file.type.startsWith("video/") || /\.(mp4|m4v|mov|mkv|webm|avi)$/i.test(file.name)) return video.open(file);
  return complain(`${file.name}: expected a video, or a viewer.html or poses.json to compare with`);
}
$("compare").onclick = () => $("other").click();
$("other").onchange = () => { if ($("other").files.length) compareWith($("other").files[0]); $("other").value = ""; };
$("close-other").onclick = closeOther;
$("offset").oninput = () => shift(Number($("offset").value));
$("earlier").onclick = () => nudge(-1);
$("later").onclick = () => nudge(1);
$("other-person").onchange = () => { clips[1].person = Number($("other-person").value); measureCloseUp(clips[1]); describeOther(); stale(); };
let over = 0;
addEventListener("dragenter", (event) => { event.preventDefault(); over++; $("drop").hidden = false; });
addEventListener("dragleave", () => { if (--over <= 0) { over = 0; $("drop").hidden = true; } });
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  over = 0; $("drop").hidden = true;
  if (event.dataTransfer.files.length) receive(event.dataTransfer.files[0]);
});
