// ---- drawing the body with WebGL 2; without it, or when the context is lost, painter.js does ----------------------
const VERTEX_COMMON = `#version 300 es
precision highp float;
uniform vec4 turn;        // cosine and sine of yaw, of pitch
uniform vec3 centre;      // what the eye turns about
uniform vec4 screen;      // where that is drawn, and the size of the panel, pixels
uniform vec2 lens;        // pixels a metre there, the eye's distance
vec3 seenFrom(vec3 v) {
  float x = v.x * turn.x - v.z * turn.y, z = v.x * turn.y + v.z * turn.x;
  return vec3(x, v.y * turn.z - z * turn.w, v.y * turn.w + z * turn.z);
}
vec4 onScreen(vec3 p) {   // p: seen from the eye, the centre at the origin
  float w = max((lens.y + p.z) / lens.y, 0.05), near = 0.05, far = 12.0;
  vec2 at = screen.xy * w + p.xy * lens.x;
  return vec4(2.0 * at.x / screen.z - w, w - 2.0 * at.y / screen.w, w * ((w - near) / (far - near) * 2.0 - 1.0), w);
}`;
const BODY_VERTEX = VERTEX_COMMON + `
in vec4 shape;            // direction on the unit sphere, which end
in vec4 a, b, flatten, colour;
out vec3 normal, tint;
out float faint;
void main() {
  vec3 axis = b.xyz - a.xyz;
  float length_ = length(axis);
  axis = length_ > 1e-5 ? axis / length_ : vec3(0.0, 1.0, 0.0);
  vec3 side = abs(axis.y) < 0.9 ? normalize(cross(axis, vec3(0.0, 1.0, 0.0))) : normalize(cross(axis, vec3(1.0, 0.0, 0.0)));
  vec3 n = side * shape.x + cross(axis, side) * shape.y + axis * shape.z;
  vec3 off = n * mix(a.w, b.w, shape.w);
  float f = dot(off, flatten.xyz), g = dot(n, flatten.xyz);
  off += flatten.xyz * f * (flatten.w - 1.0);
  n += axis * (length_ > 1e-5 ? clamp((a.w - b.w) / length_, -1.0, 1.0) * (1.0 - abs(shape.z)) : 0.0);
  n += flatten.xyz * g * (1.0 / max(flatten.w, 0.2) - 1.0);
  normal = seenFrom(normalize(n));
  tint = colour.rgb; faint = colour.w;
  vec3 p = seenFrom(mix(a.xyz, b.xyz, shape.w) + off - centre);
  gl_Position = onScreen(p);
}`;
const BODY_FRAGMENT = `#version 300 es
precision highp float;
in vec3 normal, tint;
in float faint;
uniform vec3 background;
uniform float dark;
out vec4 result;
void main() {
  vec3 n = normalize(normal);
  float key = max(dot(n, normalize(vec3(-0.45, -0.75, -0.6))), 0.0), sky = 0.5 - 0.5 * n.y, facing = max(-n.z, 0.0);
  float light = 0.42 + 0.26 * sky + 0.5 * key;
  vec3 c = tint * light + vec3(0.10) * pow(key, 12.0);
  c = mix(c, dark > 0.5 ? tint * 0.30 : tint * 0.42, smoothstep(0.45, 0.05, facing) * 0.75);  // a darker rim
  result = vec4(mix(c, background, faint), 1.0);
}`;
const SHADOW_VERTEX = `#version 300 es
precision highp float;
in vec2 corner;
in vec4 a, b;
uniform vec4 area;        // the floor's middle and half its size, x and z
uniform float ground;
out vec2 at;
flat out vec4 ends;
flat out vec4 wide;       // radius and softness at both ends
vec2 below(vec3 p) { return p.xz + vec2(0.22, 0.14) * max(ground - p.y, 0.0); }
void main() {
  vec2 p = below(a.xyz), q = below(b.xyz), on = q - p;
  float l = length(on);
  on = l > 1e-5 ? on / l : vec2(1.0, 0.0);
  vec2 soft = vec2(ground - a.y, ground - b.y) * 0.13 + 0.025;
  soft = max(soft, vec2(0.025));
  float reach = max(a.w + soft.x, b.w + soft.y) + 0.02;
  at = mix(p, q, corner.x * 0.5 + 0.5) + on * corner.x * reach + vec2(-on.y, on.x) * corner.y * reach;
  ends = vec4(p, q); wide = vec4(a.w, soft.x, b.w, soft.y);
  gl_Position = vec4((at - area.xy) / area.zw, 0.0, 1.0);
}`;
const SHADOW_FRAGMENT = `#version 300 es
precision highp float;
in vec2 at;
flat in vec4 ends, wide;
out vec4 result;
void main() {
  vec2 on = ends.zw - ends.xy;
  float t = clamp(dot(at - ends.xy, on) / max(dot(on, on), 1e-9), 0.0, 1.0), d = distance(at, ends.xy + on * t);
  float r = mix(wide.x, wide.z, t), s = mix(wide.y, wide.w, t);
  result = vec4(smoothstep(r + s, r - s, d) * clamp(0.06 / (s + 0.035), 0.25, 1.0));
}`;
const FLOOR_VERTEX = VERTEX_COMMON + `
in vec2 corner;
uniform vec4 area;
uniform float ground;
out vec2 at, uv;
void main() {
  at = area.xy + corner * area.zw;
  uv = corner * 0.5 + 0.5;
  gl_Position = onScreen(seenFrom(vec3(at.x, ground, at.y) - centre));
}`;
const FLOOR_FRAGMENT = `#version 300 es
precision highp float;
in vec2 at, uv;
uniform sampler2D shade;
uniform vec3 ground_, line, shadow, background;
uniform vec2 cell;
uniform float lines;
out vec4 result;
void main() {
  vec2 step_ = fwidth(at), d = abs(fract(at / cell - 0.5) - 0.5) * cell / max(step_, vec2(1e-6));
  float grid = (1.0 - min(min(d.x, d.y) / 1.1, 1.0)) * clamp(cell.x / max(step_.x, step_.y) / 5.0, 0.0, 1.0);
  vec2 edge = smoothstep(vec2(0.0), vec2(0.16), min(uv, 1.0 - uv));
  float there = edge.x * edge.y;
  vec3 c = mix(background, mix(ground_, line, grid), there * lines);
  result = vec4(mix(c, shadow, texture(shade, uv).r * 0.62), 1.0);
}`;
const SHADE = 512; // texels of the shadow's side

class Renderer {
  constructor(canvas) {
    this.canvas = canvas;
    this.parts = new Float32Array(0);
    const gl = (this.gl = canvas.getContext("webgl2", { antialias: true, powerPreference: "low-power" }));
    if (!gl) return;
    canvas.addEventListener("webglcontextlost", (event) => { event.preventDefault(); this.gl = null; canvas.hidden = true; dirty = true; });
    canvas.addEventListener("webglcontextrestored", () => { this.gl = gl; canvas.hidden = false; this.build(); dirty = true; });
    this.build();
  }
  program(vertex, fragment, names) {
    const { gl } = this, program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text); gl.compileShader(shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
      gl.attachShader(program, shader);
    }
    names.forEach((name, k) => gl.bindAttribLocation(program, k, name));
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    const at = {};
    for (let k = 0; k < gl.getProgramParameter(program, gl.ACTIVE_UNIFORMS); k++) {
      const { name } = gl.getActiveUniform(program, k);
      at[name] = gl.getUniformLocation(program, name);
    }
    return { program, at };
  }
  build() {
    const { gl } = this, names = ["shape", "a", "b", "flatten", "colour"];
    this.body = this.program(BODY_VERTEX, BODY_FRAGMENT, names);
    this.shadow = this.program(SHADOW_VERTEX, SHADOW_FRAGMENT, ["corner", "a", "b"]);
    this.floor = this.program(FLOOR_VERTEX, FLOOR_FRAGMENT, ["corner"]);
    // a capsule: rings around two half spheres
    const [around_, rings] = P > 2 ? [12, 4] : [18, 5], shape = [], index = [];
    for (let ring = 0; ring < 2 * rings; ring++) {
      const end = ring < rings ? 0 : 1, t = ((ring - end) / (2 * rings - 2) - 0.5) * Math.PI;
      for (let k = 0; k <= around_; k++) {
        const phi = (k / around_) * 2 * Math.PI;
        shape.push(Math.cos(t) * Math.cos(phi), Math.cos(t) * Math.sin(phi), Math.sin(t), end);
      }
    }
    for (let ring = 0; ring < 2 * rings - 1; ring++) for (let k = 0; k < around_; k++) {
      const a = ring * (around_ + 1) + k, b = a + around_ + 1;
      index.push(a, b, a + 1, a + 1, b, b + 1);
    }
    this.count = index.length;
    const buffer = (target, values) => {
      const made = gl.createBuffer();
      gl.bindBuffer(target, made); gl.bufferData(target, values, gl.STATIC_DRAW);
      return made;
    };
    this.buffer = gl.createBuffer();
    const fields = (first, names_) => names_.forEach((offset, k) => {
      gl.enableVertexAttribArray(first + k);
      gl.vertexAttribPointer(first + k, 4, gl.FLOAT, false, 4 * PART, 16 * offset);
      gl.vertexAttribDivisor(first + k, 1);
    });
    this.bodies = gl.createVertexArray();
    gl.bindVertexArray(this.bodies);
    buffer(gl.ARRAY_BUFFER, new Float32Array(shape));
    gl.enableVertexAttribArray(0); gl.vertexAttribPointer(0, 4, gl.FLOAT, false, 0, 0);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
    fields(1, [0, 1, 2, 3]);
    buffer(gl.ELEMENT_ARRAY_BUFFER, new Uint16Array(index));
    const corners = new Float32Array([-1, -1, 1, -1, -1, 1, 1, 1]);
    this.shadows = gl.createVertexArray();
    gl.bindVertexArray(this.shadows);
    const quad = buffer(gl.ARRAY_BUFFER, corners);
    gl.enableVertexAttribArray(0); gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
    fields(1, [0, 1]);
    this.plane = gl.createVertexArray();
    gl.bindVertexArray(this.plane);
    gl.bindBuffer(gl.ARRAY_BUFFER, quad);
    gl.enableVertexAttribArray(0); gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
    gl.bindVertexArray(null);
    this.shade = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, this.shade);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, SHADE, SHADE, 0, gl.RGBA, gl.UNSIGNED_BYTE, null);
    for (const [key, value] of [[gl.TEXTURE_MIN_FILTER, gl.LINEAR], [gl.TEXTURE_MAG_FILTER, gl.LINEAR],
      [gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE], [gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE]]) gl.texParameteri(gl.TEXTURE_2D, key, value);
    this.target = gl.createFramebuffer();
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.target);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, this.shade, 0);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
  }
  draw(clip, f, space, eye, w, h) { // eye: as camera.js set it
    const { gl } = this, grid = space.grid, tones = colours.tones;
    if (this.parts.length < clip.P * MOST_PARTS * PART) this.parts = new Float32Array(clip.P * MOST_PARTS * PART);
    const parts = f < 0 ? 0 : bodyParts(clip, f, space, this.parts);
    gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
    gl.bufferData(gl.ARRAY_BUFFER, this.parts.subarray(0, parts * PART), gl.DYNAMIC_DRAW);
    const area = [(grid[0][0] + grid[0][1]) / 2, (grid[1][0] + grid[1][1]) / 2, (grid[0][1] - grid[0][0]) / 2, (grid[1][1] - grid[1][0]) / 2];
    const set = ({ program, at }) => {
      gl.useProgram(program);
      gl.uniform4f(at.turn, eye.cy, eye.sy, eye.cp, eye.sp);
      gl.uniform3fv(at.centre, eye.centre32);
      gl.uniform4f(at.screen, eye.x, eye.y, w, h);
      gl.uniform2f(at.lens, eye.fit, eye.away);
      gl.uniform3fv(at.background, tones.panel);
      return at;
    };
    gl.disable(gl.DEPTH_TEST);
    if (state.grid) { // the shadow, seen from above, then the floor
      gl.bindFramebuffer(gl.FRAMEBUFFER, this.target);
      gl.viewport(0, 0, SHADE, SHADE);
      gl.clearColor(0, 0, 0, 0); gl.clear(gl.COLOR_BUFFER_BIT);
      gl.useProgram(this.shadow.program);
      gl.uniform4f(this.shadow.at.area, ...area); gl.uniform1f(this.shadow.at.ground, space.floor);
      gl.enable(gl.BLEND); gl.blendEquation(gl.MAX); gl.blendFunc(gl.ONE, gl.ONE);
      gl.bindVertexArray(this.shadows);
      gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, parts);
      gl.disable(gl.BLEND);
      gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    }
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(...tones.panel, 1); gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    if (state.grid) {
      const at = set(this.floor);
      gl.bindTexture(gl.TEXTURE_2D, this.shade);
      gl.uniform4f(at.area, ...area); gl.uniform1f(at.ground, space.floor);
      gl.uniform3fv(at.ground_, tones.floor); gl.uniform3fv(at.line, tones.grid); gl.uniform3fv(at.shadow, tones.shadow);
      gl.uniform2f(at.cell, grid[0][2], grid[1][2]); gl.uniform1f(at.lines, 1);
      gl.bindVertexArray(this.plane);
      gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
    }
    gl.enable(gl.DEPTH_TEST);
    const at = set(this.body);
    gl.uniform1f(at.dark, document.documentElement.dataset.theme === "dark" ? 1 : 0);
    gl.bindVertexArray(this.bodies);
    gl.drawElementsInstanced(gl.TRIANGLES, this.count, gl.UNSIGNED_SHORT, 0, parts);
    gl.bindVertexArray(null);
  }
}
