// ---- the camera's pictures: to the server, and kept until their poses come ----------------------------------------
const WIDEST = 640, QUALITY = 0.8; // pixels of the pictures that are sent: the detector's networks see 256
const OUTSTANDING = 2; // pictures that were sent, and that the server has not begun to look at

class Camera {
  /** `film` shows the camera; `onPose(pose, picture, ms)` and `onWord(message)` are called with what the server answers. */
  constructor(film, onPose, onWord) {
    Object.assign(this, { film, onPose, onWord, stream: null, socket: null, kept: [], free: [], sent: [], ready: false, busy: false, last: -1, count: 0, stopped: false });
  }
  async open(device) {
    if (!navigator.mediaDevices?.getUserMedia) throw new Error("The browser gives no camera to this page: open it at 127.0.0.1, or at an address with https.");
    const video = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 30 }, ...(device ? { deviceId: { exact: device } } : {}) };
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
    } catch (error) {
      const words = {
        NotAllowedError: "The camera is not allowed to this page: allow it beside the browser's address, and start again.",
        NotFoundError: "There is no camera. Connect one, and start again.",
        NotReadableError: "The camera cannot be read; perhaps another program uses it. Close that, and start again.",
        OverconstrainedError: "That camera is not there any more: choose another one.",
      };
      throw new Error(words[error.name] || `The camera cannot be opened (${error.message || error.name}).`);
    }
    this.stream.getVideoTracks()[0].addEventListener("ended", () => this.stopped || this.onWord({ type: "lost", text: "The camera has gone: it was taken away, or stopped by the system." }));
    this.film.srcObject = this.stream;
    await this.film.play();
  }
  connect(settings) {
    const socket = (this.socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live/poses`));
    socket.binaryType = "arraybuffer";
    socket.addEventListener("open", () => socket.send(JSON.stringify({ type: "start", ...settings })));
    socket.addEventListener("message", (event) => this.take(JSON.parse(event.data)));
    socket.addEventListener("close", () => { if (!this.stopped && this.socket === socket) this.onWord({ type: "lost", text: "The connection to the server broke. Is posemamba app still running?" }); });
    this.watch();
  }
  take(message) {
    if (message.type === "start") this.ready = true;
    if (message.type === "taken") { this.sent = this.sent.filter((time) => time > message.time); this.next(); }
    if (message.type !== "pose") { this.onWord(message); return; }
    while (this.kept.length && this.kept[0].time < message.time) this.free.push(this.kept.shift().canvas);
    const own = this.kept[0]?.time === message.time ? this.kept[0] : null;
    this.onPose(message, own?.canvas ?? null, own?.taken ?? null);
  }
  watch() { // each new picture of the camera, whatever its rate
    const seen = (now, about) => {
      if (this.stopped) return;
      this.fresh = { now: performance.now(), filmed: about?.captureTime };
      this.next();
      this.again(seen);
    };
    this.again(seen);
  }
  again(seen) {
    if (this.film.requestVideoFrameCallback) this.film.requestVideoFrameCallback(seen);
    else setTimeout(() => seen(performance.now()), 1000 / 30);
  }
  next() { // send the newest picture, if the server can take one; older ones are never sent
    if (!this.fresh || !this.ready || this.busy || this.sent.length >= OUTSTANDING || this.socket.readyState !== 1) return;
    const { videoWidth, videoHeight } = this.film;
    if (!videoWidth) return;
    const scale = Math.min(1, WIDEST / videoWidth), canvas = this.free.pop() ?? document.createElement("canvas");
    const width = Math.round(videoWidth * scale), height = Math.round(videoHeight * scale);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    canvas.getContext("2d").drawImage(this.film, 0, 0, width, height);
    const { now, filmed } = this.fresh;
    // the camera's own time of the picture, where the browser knows it
    const taken = filmed > 0 && filmed <= now && now - filmed < 1000 ? filmed : now, time = Math.max(taken / 1000, this.last + 0.001);
    this.last = time;
    this.fresh = null;
    this.busy = true;
    canvas.toBlob(async (blob) => {
      this.busy = false;
      if (this.stopped || !blob || this.socket.readyState !== 1) return;
      const data = new Uint8Array(8 + blob.size);
      new DataView(data.buffer).setFloat64(0, time, true);
      data.set(new Uint8Array(await blob.arrayBuffer()), 8);
      if (this.socket.readyState !== 1) return;
      this.kept.push({ time, canvas, taken });
      while (this.kept.length > 60) this.free.push(this.kept.shift().canvas);
      this.sent.push(time);
      this.socket.send(data);
      this.count += 1;
      this.next();
    }, "image/jpeg", QUALITY);
  }
  say(message) { if (this.socket?.readyState === 1) this.socket.send(JSON.stringify(message)); }
  /** Connect anew with other settings; the camera goes on. */
  change(settings) {
    const { socket } = this;
    this.socket = null;
    this.ready = false;
    this.sent = [];
    this.kept = [];
    socket.addEventListener("close", () => { if (!this.stopped) this.connect(settings); });
    socket.close();
  }
  stop() {
    this.stopped = true;
    this.socket?.close();
    this.stream?.getTracks().forEach((track) => track.stop());
    this.film.srcObject = null;
  }
}
