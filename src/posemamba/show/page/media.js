// ---- pictures: embedded JPEGs, or a video of this computer --------------------------------------------------------
function openPictures(clip, text) { // the embedded pictures of a clip, in base64
  const own = { every: 1, count: 0, cache: new Map(), waiting: new Set() }, told = clip.data.pictures;
  if (told && text) {
    own.text = text;
    own.sizes = unpack(told.sizes, Uint32Array);
    own.starts = new Float64Array(own.sizes.length);
    for (let k = 1; k < own.sizes.length; k++) own.starts[k] = own.starts[k - 1] + own.sizes[k - 1];
    own.every = told.every;
    own.count = own.sizes.length;
  }
  own.file = (k) => { // picture k alone: a long clip's are not unpacked before they are seen
    const start = own.starts[k], end = start + own.sizes[k], whole = Math.floor(start / 3);
    return unpack(own.text.slice(4 * whole, 4 * Math.ceil(end / 3)), Uint8Array).subarray(start - 3 * whole, end - 3 * whole);
  };
  own.want = (k) => { // decode picture k, and keep the 60 last ones
    if (k >= own.count || own.cache.has(k) || own.waiting.has(k)) return;
    own.waiting.add(k);
    createImageBitmap(new Blob([own.file(k)], { type: "image/jpeg" })).then((bitmap) => {
      own.cache.set(k, bitmap);
      if (own.cache.size > 60) {
        const [oldest, old] = own.cache.entries().next().value;
        own.cache.delete(oldest); old.close();
      }
      dirty = true;
    }).catch(() => {}).finally(() => own.waiting.delete(k));
  };
  own.at = (f) => { // the picture of a frame, or the one before; while it is decoded, one that is near
    const k = Math.min(own.count - 1, Math.floor(f / own.every));
    for (let ahead = 0; ahead < (state.playing ? 6 : 1); ahead++) own.want(k + ahead);
    for (let back = 0; back < 3; back++) if (own.cache.has(k - back)) return own.cache.get(k - back);
    return null;
  };
  return own;
}
const video = { element: document.createElement("video"), ready: false, address: "" };
video.element.playsInline = true;
video.place = () => { // the middle of the frame's time, so that rounding cannot show its neighbour
  const f = state.frame, until = f + 1 < F ? times[f + 1] : times[f] + 1 / data.fps;
  video.element.currentTime = (times[f] + until) / 2;
};
video.play = () => {
  video.element.currentTime = times[state.frame];
  video.element.playbackRate = state.speed;
  video.element.play().catch(() => {});
};
const even = Array.from(times.subarray(1)).every((time, f) => Math.abs((time - times[f]) * data.fps - 1) < 0.3);
video.differs = () => { // what shows that this is not the video of the poses; rate: of its frames, once it has played
  const said = [], [width, height] = data.image_size, { videoWidth, videoHeight, duration } = video.element;
  if (Math.abs(videoWidth * height / (videoHeight * width) - 1) > 0.02)
    said.push(`${videoWidth} × ${videoHeight} pixels, the poses ${width} × ${height}`);
  const until = times[F - 1] + 1 / data.fps;
  if (Number.isFinite(duration) && Math.abs(duration - until) > 1.5 / data.fps + 0.02 * until)
    said.push(`${duration.toFixed(2)} s long, the poses end at ${until.toFixed(2)} s`);
  if (even && video.rate && Math.abs(video.rate / data.fps - 1) > 0.1)
    said.push(`${video.rate.toFixed(1)} frames/s, the poses ${data.fps.toFixed(1)}`);
  return said;
};
video.tell = () => {
  const said = video.differs();
  put($("image-caption"), "2D joints" + (said.length ? ` (another video? It is ${said.join("; ")})` : ""));
};
video.count = () => { // steps between frames while it plays; a frame that the browser leaves out makes a longer one
  if (!video.element.requestVideoFrameCallback) return;
  const steps = [];
  let last = null;
  const next = (_, { mediaTime }) => {
    if (last !== null && mediaTime > last) steps.push(mediaTime - last);
    last = mediaTime;
    if (steps.length < 20) return video.element.requestVideoFrameCallback(next);
    video.rate = 1 / steps.sort((a, b) => a - b)[4];
    video.tell();
  };
  video.element.requestVideoFrameCallback(next);
};
video.open = (file) => {
  if (video.address) URL.revokeObjectURL(video.address);
  video.ready = false;
  video.address = URL.createObjectURL(file);
  video.element.src = video.address;
};
video.element.addEventListener("loadeddata", () => {
  video.ready = true; state.backdrop = true;
  video.rate = 0;
  video.tell();
  video.count();
  seek(state.frame);
  if (state.playing) video.play();
});
video.element.addEventListener("error", () => {
  video.ready = false;
  put($("image-caption"), "this browser cannot play that video");
});
video.element.addEventListener("seeked", () => { dirty = true; });
const hasBackdrop = () => video.ready || pictures.count > 0;
