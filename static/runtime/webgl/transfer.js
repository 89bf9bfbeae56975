// Reading back without blocking the page: pixels go into a buffer on the GPU, a fence tells when they are there. A worker,
// whose thread no page waits for, asks for a quick frame at once: browsers look at fences only every other millisecond.
import { InPageError } from '../errors.js';

/** @typedef {import('./device.js').Device} Device */
/** @typedef {import('./textures.js').Texture} Texture */
/** @typedef {{texture: Texture, count: number}} Wanted count: of elements, from the first texel on */
/** @typedef {{sync: WebGLSync, asked: number, done: () => void, fail: (error: Error) => void}} Waiting */
/** @typedef {{handle: WebGLBuffer, bytes: number}} Buffer */

const MAX_SPARE = 16; // buffers kept for the next frames
const EAGER_MS = 2.5; // before a result is expected, asking starts; timers are no finer
const QUICK_MS = 8; // frames that a worker waits for without looking at messages meanwhile

export class Reader {
  /** @param {Device} device */
  constructor(device) {
    this.device = device;
    this.gl = device.gl;
    /** @type {Buffer[]} */
    this.spare = [];
    /** @type {Waiting[]} in order of their fences */
    this.waiting = [];
    this.usual_ms = 0; // what a frame lately took from its fence on
    this.mayWait = typeof document === 'undefined';
    this.bytes = 0;
    this.polling = false;
    this.channel = new MessageChannel();
    this.channel.port1.onmessage = () => this.poll();
  }

  /** @param {number} bytes @returns {Buffer} */
  take(bytes) {
    const i = this.spare.findIndex((buffer) => buffer.bytes === bytes);
    if (i >= 0) return this.spare.splice(i, 1)[0];
    const { gl } = this, handle = gl.createBuffer();
    if (!handle) {
      this.device.refuseWhenLost('reading back');
      throw new InPageError('out_of_memory', 'The browser gives no buffer to read into');
    }
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, handle);
    gl.bufferData(gl.PIXEL_PACK_BUFFER, bytes, gl.STREAM_COPY); // Chromium warns of every second read of a *_READ buffer
    this.bytes += bytes;
    return { handle, bytes };
  }

  /** @param {Buffer} buffer */
  giveBack(buffer) {
    this.spare.push(buffer);
    if (this.spare.length > MAX_SPARE) this.drop(/** @type {Buffer} */ (this.spare.shift()));
  }

  /** @param {Buffer} buffer */
  drop({ handle, bytes }) {
    this.gl.deleteBuffer(handle);
    this.bytes -= bytes;
  }

  /**
   * What the textures hold once all that was asked of the GPU so far is done.
   * @param {Wanted[]} wanted
   * @returns {Promise<Float32Array[]>}
   * @throws {InPageError} device_lost
   */
  async read(wanted) {
    const { gl } = this, offsets = /** @type {number[]} */ ([]);
    let bytes = 0;
    for (const { texture, count } of wanted) {
      offsets.push(bytes);
      bytes += 16 * 2 ** texture.shift * Math.ceil(count / 4 / 2 ** texture.shift);
    }
    const buffer = this.take(bytes);
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, buffer.handle);
    wanted.forEach(({ texture, count }, i) => {
      const width = 2 ** texture.shift;
      gl.bindFramebuffer(gl.FRAMEBUFFER, this.device.textures.targetOf(texture));
      gl.readPixels(0, 0, width, Math.ceil(count / 4 / width), gl.RGBA, gl.FLOAT, offsets[i]);
    });
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null);
    const asked = performance.now();
    await this.fence();
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, buffer.handle);
    const results = wanted.map(({ count }, i) => {
      const data = new Float32Array(count);
      gl.getBufferSubData(gl.PIXEL_PACK_BUFFER, offsets[i], data);
      return data;
    });
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null);
    this.note(performance.now() - asked);
    this.device.refuseWhenLost('reading back'); // then what came is zeros
    this.giveBack(buffer);
    return results;
  }

  /** Settles when the GPU has done all that was asked so far. @returns {Promise<void>} */
  fence() {
    const { gl } = this, sync = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
    return new Promise((resolve, reject) => {
      if (!sync) {
        reject(new InPageError('device_lost', 'The browser took the WebGL context away', { hint: 'run it again' }));
        return;
      }
      this.waiting.push({ sync, asked: performance.now(), done: resolve, fail: reject });
      if (!this.polling) this.wait();
    });
  }

  /** The next look at the fences: at once where a result is due, else when it nearly is. */
  wait() {
    this.polling = true;
    const late = this.waiting[0].asked + this.usual_ms - performance.now();
    if (late > EAGER_MS + 1) setTimeout(() => this.poll(), late - EAGER_MS);
    else this.channel.port2.postMessage(0);
  }

  poll() {
    const { gl, waiting } = this;
    this.polling = false;
    if (waiting.length && this.device.checkLost()) {
      const error = new InPageError('device_lost', 'The browser took the WebGL context away', { where: 'reading back', hint: 'run it again' });
      for (const { fail } of waiting.splice(0)) fail(error);
      return;
    }
    const quick = this.mayWait && this.usual_ms < QUICK_MS;
    while (waiting.length && (quick || gl.getSyncParameter(waiting[0].sync, gl.SYNC_STATUS) === gl.SIGNALED)) {
      const { sync, done } = /** @type {Waiting} */ (waiting.shift());
      gl.deleteSync(sync);
      done();
      if (quick) break; // one at a time: reading it waits
    }
    if (waiting.length) this.wait();
  }

  /** @param {number} took milliseconds: early is sure, late may be chance */
  note(took) {
    this.usual_ms = took < this.usual_ms ? took : .8 * this.usual_ms + .2 * took;
  }

  dispose() {
    for (const buffer of this.spare.splice(0)) this.drop(buffer);
    const error = new InPageError('disposed', 'The model was disposed', { hint: 'load it again' });
    for (const { sync, fail } of this.waiting.splice(0)) {
      this.gl.deleteSync(sync);
      fail(error);
    }
    this.channel.port1.close();
  }
}
