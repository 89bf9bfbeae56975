// Textures of RGBA floats: made, filled, drawn into. Cell t lies at column t mod 2^shift, row t / 2^shift, in all layers.
import { InPageError } from '../errors.js';
import { LAYERS } from './shader.js';

/** @typedef {import('./device.js').Device} Device */
/**
 * @typedef {object} Texture
 * @property {WebGLTexture} handle
 * @property {GLenum} kind what it is bound as
 * @property {WebGLFramebuffer|null} target to draw into it, once anybody does
 * @property {boolean} quad four layers
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

  /** @param {{quad: boolean, shift: number, rows: number, half: boolean}} size @returns {Texture} @throws {InPageError} out_of_memory */
  make({ quad, shift, rows, half }) {
    const { gl, device } = this, width = 2 ** shift, kind = quad ? gl.TEXTURE_2D_ARRAY : gl.TEXTURE_2D;
    if (width > device.maxSize || rows > device.maxSize) {
      throw new InPageError('out_of_memory', `The GPU holds no texture of ${width}×${rows}`, { hint: 'use a smaller input, or the backend "wasm"' });
    }
    const handle = gl.createTexture();
    if (!handle) throw this.refused(width, rows);
    gl.bindTexture(kind, handle);
    while (gl.getError() !== gl.NO_ERROR && !gl.isContextLost()); // what came before is not ours to report
    const format = half ? gl.RGBA16F : gl.RGBA32F;
    if (quad) gl.texStorage3D(kind, 1, format, width, rows, LAYERS);
    else gl.texStorage2D(kind, 1, format, width, rows);
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(kind, name, gl.NEAREST);
    for (const name of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T]) gl.texParameteri(kind, name, gl.CLAMP_TO_EDGE);
    if (gl.getError() === gl.OUT_OF_MEMORY) {
      gl.deleteTexture(handle);
      throw this.refused(width, rows);
    }
    return { handle, kind, target: null, quad, shift, rows, half, bytes: width * rows * (quad ? LAYERS : 1) * (half ? 8 : 16) };
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
    if (texture.quad) {
      const points = Array.from({ length: LAYERS }, (_, i) => gl.COLOR_ATTACHMENT0 + i);
      points.forEach((point, i) => gl.framebufferTextureLayer(gl.FRAMEBUFFER, point, texture.handle, 0, i));
      gl.drawBuffers(points);
    } else gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture.handle, 0);
    if (!target || gl.checkFramebufferStatus(gl.FRAMEBUFFER) !== gl.FRAMEBUFFER_COMPLETE) {
      this.device.refuseWhenLost('making textures');
      throw new InPageError('no_backend', 'This device cannot draw into its own float textures', { hint: 'use the backend "wasm"' });
    }
    texture.target = target;
    return target;
  }

  /**
   * Writes elements from the first texel on; the rest stays.
   * @param {Texture} texture @param {Float32Array} data layer after layer @param {number} [cells] in each layer
   */
  fill(texture, data, cells = 0) {
    this.gl.bindTexture(texture.kind, texture.handle);
    if (!texture.quad) this.fillLayer(texture, 0, data);
    else for (let i = 0; i < LAYERS; i++) this.fillLayer(texture, i, data.subarray(4 * i * cells, 4 * (i + 1) * cells));
  }

  /** Whole rows, then whole texels, then what is left of one. @param {Texture} texture @param {number} layer @param {Float32Array} data */
  fillLayer({ kind, quad, shift }, layer, data) {
    const { gl, last } = this, width = 2 ** shift, rows = Math.floor(data.length / 4 / width), done = 4 * width * rows;
    const texels = Math.floor((data.length - done) / 4), loose = data.length - done - 4 * texels;
    const write = (/** @type {number} */ x, /** @type {number} */ y, /** @type {number} */ w, /** @type {number} */ h, /** @type {Float32Array} */ from, /** @type {number} */ at) => {
      if (quad) gl.texSubImage3D(kind, 0, x, y, layer, w, h, 1, gl.RGBA, gl.FLOAT, from, at);
      else gl.texSubImage2D(kind, 0, x, y, w, h, gl.RGBA, gl.FLOAT, from, at);
    };
    if (rows) write(0, 0, width, rows, data, 0);
    if (texels) write(0, rows, texels, 1, data, done);
    if (!loose) return;
    last.fill(0);
    last.set(data.subarray(data.length - loose));
    write(texels, rows, 1, 1, last, 0);
  }

  /** @param {Texture} texture */
  drop({ handle, target }) {
    if (target) this.gl.deleteFramebuffer(target);
    this.gl.deleteTexture(handle);
  }
}
