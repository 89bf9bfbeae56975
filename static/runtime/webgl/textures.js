// Textures of RGBA floats: made, filled, drawn into, counted. Texel t lies at column t mod 2^shift, row t / 2^shift.
import { InPageError } from '../errors.js';

/** @typedef {import('./device.js').Device} Device */
/**
 * @typedef {object} Texture
 * @property {WebGLTexture} handle
 * @property {WebGLFramebuffer|null} target to draw into it, once anybody does
 * @property {number} shift
 * @property {number} rows
 * @property {boolean} half float16
 * @property {number} bytes
 */

export class Textures {
  /** @param {Device} device */
  constructor(device) {
    this.device = device;
    this.gl = device.gl;
    this.last = new Float32Array(4);
  }

  /** @param {number} shift @param {number} rows @param {boolean} half @returns {Texture} @throws {InPageError} out_of_memory */
  make(shift, rows, half) {
    const { gl, device } = this, width = 2 ** shift;
    if (width > device.maxSize || rows > device.maxSize) {
      throw new InPageError('out_of_memory', `The GPU holds no texture of ${width}×${rows}`, { hint: 'use a smaller input, or the backend "wasm"' });
    }
    const handle = gl.createTexture();
    if (!handle) throw this.refused(width, rows);
    gl.bindTexture(gl.TEXTURE_2D, handle);
    while (gl.getError() !== gl.NO_ERROR && !gl.isContextLost()); // what came before is not ours to report
    gl.texStorage2D(gl.TEXTURE_2D, 1, half ? gl.RGBA16F : gl.RGBA32F, width, rows);
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.NEAREST);
    for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(gl.TEXTURE_2D, name, gl.CLAMP_TO_EDGE);
    if (gl.getError() === gl.OUT_OF_MEMORY) {
      gl.deleteTexture(handle);
      throw this.refused(width, rows);
    }
    return { handle, target: null, shift, rows, half, bytes: width * rows * (half ? 8 : 16) };
  }

  /** @param {number} width @param {number} rows */
  refused(width, rows) {
    this.device.refuseWhenLost('making textures');
    return new InPageError('out_of_memory', `The GPU refused a texture of ${width}×${rows}`, {
      hint: 'close other tabs, use a smaller input, or dispose models that are not needed',
    });
  }

  /** Lets a texture be drawn into. @param {Texture} texture @returns {WebGLFramebuffer} */
  targetOf(texture) {
    if (texture.target) return texture.target;
    const { gl } = this, target = gl.createFramebuffer();
    gl.bindFramebuffer(gl.FRAMEBUFFER, target);
    gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture.handle, 0);
    if (!target || gl.checkFramebufferStatus(gl.FRAMEBUFFER) !== gl.FRAMEBUFFER_COMPLETE) {
      this.device.refuseWhenLost('making textures');
      throw new InPageError('no_backend', 'This device cannot draw into its own float textures', { hint: 'use the backend "wasm"' });
    }
    texture.target = target;
    return target;
  }

  /**
   * Writes elements from the first texel on; the rest stays.
   * @param {Texture} texture @param {Float32Array} data
   */
  fill({ handle, shift }, data) {
    const { gl, last } = this, width = 2 ** shift, rows = Math.floor(data.length / 4 / width), done = 4 * width * rows;
    const texels = Math.floor((data.length - done) / 4), loose = data.length - done - 4 * texels;
    gl.bindTexture(gl.TEXTURE_2D, handle);
    if (rows) gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, width, rows, gl.RGBA, gl.FLOAT, data, 0);
    if (texels) gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, rows, texels, 1, gl.RGBA, gl.FLOAT, data, done);
    if (!loose) return;
    last.fill(0);
    last.set(data.subarray(data.length - loose));
    gl.texSubImage2D(gl.TEXTURE_2D, 0, texels, rows, 1, 1, gl.RGBA, gl.FLOAT, last, 0);
  }

  /** @param {Texture} texture */
  drop({ handle, target }) {
    if (target) this.gl.deleteFramebuffer(target);
    this.gl.deleteTexture(handle);
  }
}
