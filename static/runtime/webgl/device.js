// One WebGL2 context per thread, shared by all models of it: what it can do, whether it was lost, what it holds.
import { InPageError } from '../errors.js';
import { Programs } from './programs.js';
import { Textures } from './textures.js';
import { Reader } from './transfer.js';

/** @typedef {'float32'|'float16'} Precision of the textures; the arithmetic is float32 wherever the driver has it */
/** @typedef {{gl: WebGL2RenderingContext, canvas: OffscreenCanvas|HTMLCanvasElement}} Opened */

/** Attempts to get a context, and the pause before each: right after a reset a browser may still refuse one. */
const PAUSES_MS = [0, 100, 400, 1500];

/** @type {Device|null} the one in use on this thread */
let current = null;

/**
 * The thread's device; made if there is none, or if the last one was lost. Every caller releases it once.
 * @returns {Promise<Device>}
 * @throws {InPageError} no_backend
 */
export async function acquireDevice() {
  if (!current || current.isLost) current = new Device(await open());
  current.users++;
  return current;
}

/** @returns {Promise<Opened>} */
async function open() {
  for (const pause of PAUSES_MS) {
    if (pause) await new Promise((resolve) => { setTimeout(resolve, pause); });
    const canvas = newCanvas(), gl = canvas && contextOf(canvas);
    if (canvas && gl && !gl.isContextLost()) {
      if (!gl.getExtension('EXT_color_buffer_float') && !gl.getExtension('EXT_color_buffer_half_float')) {
        gl.getExtension('WEBGL_lose_context')?.loseContext();
        throw refusal('This device cannot draw into textures of floats');
      }
      return { gl, canvas };
    }
    if (!current) break; // never had one: waiting does not help
  }
  throw refusal('This browser gives no WebGL2 context');
}

/** @param {string} what */
const refusal = (what) => new InPageError('no_backend', what, { hint: 'use the backend "wasm", or leave "backend" out' });

/** @returns {OffscreenCanvas|HTMLCanvasElement|null} */
function newCanvas() {
  if (typeof OffscreenCanvas === 'function') return new OffscreenCanvas(1, 1);
  return typeof document === 'object' ? document.createElement('canvas') : null;
}

/** @param {OffscreenCanvas|HTMLCanvasElement} canvas */
function contextOf(canvas) {
  const wishes = {
    alpha: false, antialias: false, depth: false, stencil: false, desynchronized: false, preserveDrawingBuffer: false,
    powerPreference: 'high-performance',
  };
  return /** @type {WebGL2RenderingContext|null} */ (canvas.getContext('webgl2', wishes));
}

export class Device {
  /** @param {Opened} opened */
  constructor({ gl, canvas }) {
    this.gl = gl;
    this.canvas = canvas;
    this.users = 0;
    /** Whether both precisions can be drawn into, or float16 alone. */
    this.hasFloat32 = gl.getExtension('EXT_color_buffer_float') !== null;
    this.maxSize = Math.min(gl.getParameter(gl.MAX_TEXTURE_SIZE), gl.getParameter(gl.MAX_RENDERBUFFER_SIZE));
    this.maxUnits = Math.min(gl.getParameter(gl.MAX_TEXTURE_IMAGE_UNITS), 16);
    this.timer = gl.getExtension('EXT_disjoint_timer_query_webgl2');
    this.driver = driverOf(gl);
    this.isLost = false;
    /** @type {Promise<string>} settles with the reason when the context is lost */
    this.lost = new Promise((resolve) => {
      canvas.addEventListener('webglcontextlost', (event) => {
        this.isLost = true;
        resolve(/** @type {WebGLContextEvent} */ (event).statusMessage || 'the context was lost');
      }, { once: true });
    });
    for (const cap of [gl.BLEND, gl.DEPTH_TEST, gl.DITHER, gl.SCISSOR_TEST, gl.STENCIL_TEST, gl.CULL_FACE]) gl.disable(cap);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 4);
    gl.bindVertexArray(gl.createVertexArray()); // no attributes: three corners by gl_VertexID
    this.programs = new Programs(this);
    this.textures = new Textures(this);
    this.reader = new Reader(this);
  }

  /** Whether the context is gone; asks the browser, whose event may still be on its way. @returns {boolean} */
  checkLost() {
    if (!this.isLost && this.gl.isContextLost()) this.isLost = true;
    return this.isLost;
  }

  /** @param {string} where @throws {InPageError} device_lost */
  refuseWhenLost(where) {
    if (!this.checkLost()) return;
    throw new InPageError('device_lost', 'The browser took the WebGL context away', { where, hint: 'run it again' });
  }

  /** The last user frees the context with everything on it. */
  release() {
    if (--this.users > 0) return;
    if (current === this) current = null;
    this.reader.dispose();
    this.programs.dispose();
    this.isLost = true;
    this.gl.getExtension('WEBGL_lose_context')?.loseContext();
  }
}

/** A name for this GPU, its driver and browser: what holds for one holds for another of the same name. @param {WebGL2RenderingContext} gl */
function driverOf(gl) {
  const info = gl.getExtension('WEBGL_debug_renderer_info');
  const name = info ? gl.getParameter(info.UNMASKED_RENDERER_WEBGL) : gl.getParameter(gl.RENDERER);
  return [name, gl.getParameter(gl.VERSION), globalThis.navigator?.userAgent ?? ''].join(' | ');
}
