// Shader programs, cached by their source, all compiled at once and without waiting where the browser can.
import { InPageError } from '../errors.js';

/** @typedef {import('./device.js').Device} Device */
/** @typedef {import('./shader.js').Source} Source */
/**
 * @typedef {object} Program
 * @property {WebGLProgram} handle
 * @property {WebGLUniformLocation|null} ints
 * @property {WebGLUniformLocation|null} floats
 * @property {unknown} loaded whose numbers its uniforms hold
 * @property {number} users
 * @property {Source} source
 */

const VERTEX = `#version 300 es
void main() {
  gl_Position = vec4(gl_VertexID == 1 ? 3. : -1., gl_VertexID == 2 ? 3. : -1., 0., 1.);
}`;
const POLL_MS = 2;
const MAX_WAIT_MS = 60_000;
const MAX_IDLE = 64; // programs kept that nobody uses: models come back, and come in kinds

export class Programs {
  /** @param {Device} device */
  constructor(device) {
    this.device = device;
    this.gl = device.gl;
    this.parallel = this.gl.getExtension('KHR_parallel_shader_compile');
    this.vertex = this.compile(this.gl.VERTEX_SHADER, VERTEX);
    /** @type {Map<string, {program: Program, shader: WebGLShader|null}>} by source; with a shader until it is linked */
    this.cache = new Map();
  }

  /** @param {GLenum} kind @param {string} text @returns {WebGLShader} */
  compile(kind, text) {
    const shader = this.gl.createShader(kind);
    if (!shader) throw this.lost();
    this.gl.shaderSource(shader, text);
    this.gl.compileShader(shader);
    return shader;
  }

  lost() {
    this.device.refuseWhenLost('compiling shaders');
    return new InPageError('no_backend', 'The browser makes no shaders', { hint: 'use the backend "wasm"' });
  }

  /** The program of a source: its work starts at once, finish() waits for it. @param {Source} source @returns {Program} */
  take(source) {
    const known = this.cache.get(source.text);
    if (known) {
      known.program.users++;
      return known.program;
    }
    const { gl } = this, handle = gl.createProgram();
    if (!handle) throw this.lost();
    const shader = this.compile(gl.FRAGMENT_SHADER, source.text);
    gl.attachShader(handle, this.vertex);
    gl.attachShader(handle, shader);
    gl.linkProgram(handle);
    const program = { handle, ints: null, floats: null, loaded: null, users: 1, source };
    this.cache.set(source.text, { program, shader });
    return program;
  }

  /** Waits until all programs are linked, and looks up their uniforms. @throws {InPageError} no_backend at the line of a shader */
  async finish() {
    const open = [...this.cache.values()].filter(({ shader }) => shader), end = performance.now() + MAX_WAIT_MS;
    this.gl.flush();
    while (this.parallel && !open.every(({ program }) => this.isLinked(program))) {
      this.device.refuseWhenLost('compiling shaders');
      if (performance.now() > end) throw new InPageError('no_backend', 'The driver does not finish compiling shaders', { hint: 'use the backend "wasm"' });
      await new Promise((resolve) => { setTimeout(resolve, POLL_MS); });
    }
    for (const entry of open) if (entry.shader) this.link(entry.program, entry.shader, entry);
  }

  /** @param {Program} program @returns {boolean} */
  isLinked({ handle }) {
    return !this.parallel || this.gl.getProgramParameter(handle, this.parallel.COMPLETION_STATUS_KHR) !== false;
  }

  /** @param {Program} program @param {WebGLShader} shader @param {{program: Program, shader: WebGLShader|null}} entry */
  link(program, shader, entry) {
    const { gl } = this, { handle, source } = program;
    this.device.refuseWhenLost(source.name);
    if (!gl.getProgramParameter(handle, gl.LINK_STATUS)) {
      const log = gl.getShaderInfoLog(shader) || gl.getProgramInfoLog(handle) || 'no reason given';
      this.forget(entry);
      throw new InPageError('no_backend', `The driver refuses the shader "${source.name}": ${explain(log, source.text)}`, {
        hint: 'use the backend "wasm"',
      });
    }
    gl.deleteShader(shader);
    entry.shader = null;
    gl.useProgram(handle);
    program.ints = gl.getUniformLocation(handle, 'p');
    program.floats = gl.getUniformLocation(handle, 'f');
    source.samplers.forEach((name, unit) => gl.uniform1i(gl.getUniformLocation(handle, name), unit));
  }

  /** Gives a program back: kept for a while, the longest unused goes first. @param {Program} program */
  drop(program) {
    const { text } = program.source, entry = this.cache.get(text);
    if (--program.users > 0 || !entry) return;
    this.cache.delete(text);
    if (!entry.shader) this.cache.set(text, entry); // the latest is last
    else this.forget(entry); // nobody waited for it: it may be as bad as the one that failed
    const idle = [...this.cache.values()].filter((other) => !other.program.users);
    for (const old of idle.slice(0, Math.max(0, idle.length - MAX_IDLE))) this.forget(old);
  }

  /** @param {{program: Program, shader: WebGLShader|null}} entry */
  forget({ program, shader }) {
    this.cache.delete(program.source.text);
    if (shader) this.gl.deleteShader(shader);
    this.gl.deleteProgram(program.handle);
  }

  dispose() {
    for (const { program } of this.cache.values()) this.gl.deleteProgram(program.handle);
    this.gl.deleteShader(this.vertex);
    this.cache.clear();
  }
}

/**
 * A driver's log with the lines it speaks of.
 * @param {string} log @param {string} text @returns {string}
 */
export function explain(log, text) {
  const lines = text.split('\n');
  return log.replace(/\0/g, '').trim().split('\n').slice(0, 4).map((message) => {
    const line = /^\s*(?:ERROR|WARNING):\s*\d+:(\d+)/.exec(message) ?? /\b0:(\d+)\b/.exec(message);
    const quoted = lines[Number(line?.[1]) - 1];
    return quoted === undefined ? message.trim() : `${message.trim()} ← line ${line?.[1]}: ${quoted.trim()}`;
  }).join('; ');
}
