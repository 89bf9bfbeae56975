// The WebGL2 backend of one model: plans of steps become draws with programs, textures and numbers bound beforehand.
import { owner } from '../gpu/step.js';
import { count } from '../ops/node.js';
import { absorb } from './absorb.js';
import { acquireDevice } from './device.js';
import { drawsOf, refusal } from './families/index.js';
import { place } from './memory.js';
import { Pictures } from './picture.js';
import { profilePart } from './profile.js';
import { fours, LAYERS, rowsOf, shiftOf, storageOf, storageOfValue } from './shader.js';

/** @typedef {import('../gpu/step.js').GpuPlan} GpuPlan */
/** @typedef {import('../gpu/step.js').GpuSegment} GpuSegment */
/** @typedef {import('../gpu/step.js').GpuValue} GpuValue */
/** @typedef {import('../gpu/step.js').Step} Step */
/** @typedef {import('../gpu/step.js').Feed} Feed */
/** @typedef {import('./shader.js').Draw} Draw */
/** @typedef {import('./shader.js').Place} Place */
/** @typedef {import('./textures.js').Texture} Texture */
/** @typedef {import('./programs.js').Program} Program */
/** @typedef {import('./device.js').Precision} Precision */
/**
 * @typedef {object} Ready a draw with all that it needs
 * @property {Program} program @property {Texture[]} inputs
 * @property {WebGLFramebuffer} target @property {number} width @property {number} rows
 * @property {Int32Array} ints @property {Float32Array} floats @property {number} step
 * @property {number} bytes of the texels that it reads and writes
 */
/** @typedef {Draw & {step: number, number: number}} Numbered of which step: in its segment, and in the whole plan */
/** @typedef {{ready: Ready[], uploads: Texture[], downloads: import('./transfer.js').Wanted[], segment: GpuSegment}} Part */
/** @typedef {{parts: (Part|null)[], programs: Program[], textures: Texture[], keys: Set<string>, bytes: number}} Prepared */

/**
 * @param {{precision?: Precision}} [options] a device without float32 targets uses float16 whatever is asked
 * @returns {Promise<WebglBackend>}
 * @throws {import('../errors.js').InPageError} no_backend
 */
export async function createBackend({ precision = 'float32' } = {}) {
  const device = await acquireDevice();
  return new WebglBackend(device, device.hasFloat32 ? precision : 'float16');
}

export class WebglBackend {
  /** @param {import('./device.js').Device} device @param {Precision} precision */
  constructor(device, precision) {
    this.name = /** @type {const} */ ('webgl');
    this.device = device;
    this.precision = precision;
    this.half = precision === 'float16';
    this.driver = device.driver;
    this.maxInputs = device.maxUnits - 3; // weights, bias and a table besides
    this.lost = device.lost;
    /** @type {Map<string, {texture: Texture, users: number}>} constants of the model, by key */
    this.constants = new Map();
    /** @type {Set<Prepared>} */
    this.prepared = new Set();
    this.pictures = new Pictures(device);
    /** Draws handed to the driver at a time: it records the next ones while the GPU computes these. */
    this.flushEvery = 8;
    this.disposed = false;
  }

  /** @param {Step} step @returns {string} why this device cannot run it, or '' */
  supports(step) {
    return refusal(step, this.device.maxSize * Math.min(this.device.maxSize, 1024));
  }

  /**
   * @param {GpuPlan} plan
   * @returns {Promise<Prepared>}
   * @throws {import('../errors.js').InPageError} out_of_memory, no_backend, device_lost
   */
  async prepare(plan) {
    const { programs } = this.device;
    this.device.refuseWhenLost('preparing a model');
    /** @type {{draws: Numbered[], segment: GpuSegment}[]} */
    const gpu = [];
    let number = 0; // of a step, over the whole plan
    const taken = absorb(plan, this.maxInputs);
    for (const segment of plan.segments) {
      if (segment.on !== 'gpu') continue;
      const steps = taken[gpu.length], first = number;
      const draws = steps.flatMap((step, i) => (step ? drawsOf(step).map((draw) => ({ ...draw, step: i, number: first + i })) : []));
      number += steps.length;
      gpu.push({ draws, segment });
    }
    /** @type {Prepared} */
    const prepared = { parts: [], programs: [], textures: [], keys: new Set(), bytes: 0 };
    this.prepared.add(prepared);
    try {
      const linked = gpu.map(({ draws }) => draws.map((draw) => { // the driver works from here on
        const program = programs.take(draw.source);
        prepared.programs.push(program);
        return program;
      }));
      const find = place(plan, gpu.flatMap(({ draws }) => draws), this.half, this.device.hasFloat32, (slot) => {
        const texture = this.device.textures.make(slot);
        prepared.textures.push(texture);
        return texture;
      });
      const parts = gpu.map(({ draws, segment }, i) => this.assemble(prepared, draws, segment, linked[i], find));
      await programs.finish();
      let next = 0;
      prepared.parts = plan.segments.map((segment) => (segment.on === 'gpu' ? parts[next++] : null));
      prepared.bytes = prepared.textures.reduce((sum, { bytes }) => sum + bytes, 0);
      return prepared;
    } catch (error) {
      this.release(prepared);
      throw error;
    }
  }

  /**
   * @param {Prepared} prepared @param {Numbered[]} draws @param {GpuSegment} segment @param {Program[]} linked
   * @param {(place: Place) => Texture|null} find textures of what is not constant
   * @returns {Part}
   */
  assemble(prepared, draws, segment, linked, find) {
    const { textures } = this.device, at = (/** @type {GpuValue} */ value) => /** @type {Texture} */ (find({ value }));
    const ready = draws.map((draw, i) => {
      const output = /** @type {Texture} */ (find(draw.output)), inputs = draw.inputs.map((input) => find(input) ?? this.constant(prepared, input));
      const bytes = [...draw.inputs, draw.output].reduce((sum, at, k) => sum + bytesOf(at, (inputs[k] ?? output).half), 0);
      return {
        program: linked[i], inputs, bytes, target: textures.targetOf(output), width: 2 ** output.shift, rows: rowsOf(storageOf(draw.output).cells),
        ints: draw.ints, floats: draw.floats, step: draw.step,
      };
    });
    return {
      ready, segment, uploads: segment.uploads.map(at),
      downloads: segment.downloads.map((value) => ({ texture: at(value), count: count(value.shape) })),
    };
  }

  /** The texture of a constant: made once per model if it has a key. @param {Prepared} prepared @param {Place} input @returns {Texture} */
  constant(prepared, input) {
    const { key, data, exact } = contentOf(input), name = key && `${key}|${exact}`, known = name && this.constants.get(name);
    if (known) {
      if (!prepared.keys.has(name)) known.users++;
      prepared.keys.add(name);
      return known.texture;
    }
    const { quad, cells } = storageOf(input);
    const texture = this.device.textures.make({ quad, shift: shiftOf(cells), rows: rowsOf(cells), half: this.half && !exact });
    if (!name) prepared.textures.push(texture);
    else {
      prepared.keys.add(name);
      this.constants.set(name, { texture, users: 1 });
    }
    this.device.textures.fill(texture, data(), cells);
    return texture;
  }

  /**
   * One segment: uploads, draws, and downloads when they are there.
   * @param {Prepared} prepared @param {number} segment @param {Feed[]} feeds @returns {Promise<Float32Array[]>}
   * @throws {import('../errors.js').InPageError} device_lost
   */
  async run(prepared, segment, feeds) {
    const part = /** @type {Part} */ (prepared.parts[segment]), { device } = this;
    const rules = feeds.every((feed) => feed instanceof Float32Array) ? [] : await this.rulesOf(part, feeds);
    device.refuseWhenLost('running a model');
    feeds.forEach((feed, i) => this.upload(part.uploads[i], feed, rules[i]));
    this.draw(part.ready);
    return part.downloads.length ? device.reader.read(part.downloads) : [];
  }

  /** What makes tensors of those feeds that are pictures. @param {Part} part @param {Feed[]} feeds */
  rulesOf({ segment }, feeds) {
    return Promise.all(feeds.map((feed, i) => (feed instanceof Float32Array ? undefined : this.pictures.ruleOf(feed.spec, feed.picture, segment.uploads[i]))));
  }

  /** @param {Texture} texture @param {Feed} feed @param {import('./picture.js').Rule|undefined} rule */
  upload(texture, feed, rule) {
    if (feed instanceof Float32Array) this.device.textures.fill(texture, feed);
    else if (rule) {
      this.draw([this.pictures.ready(rule, /** @type {import('./picture.js').Picture} */ (feed.picture), texture)]);
      feed.picture.close();
    }
  }

  /**
   * What a picture shows now, for a later run; null where it cannot be had this way.
   * @param {any} source drawable, or pixels @param {{width: number, height: number}} size
   * @returns {import('./picture.js').Picture|null}
   */
  capture(source, size) {
    return this.disposed ? null : this.pictures.capture(source, size);
  }

  /** @param {Ready[]} list */
  draw(list) {
    const { gl } = this.device;
    for (let i = 0; i < list.length; i++) {
      const { program, inputs, target, width, rows, ints, floats } = list[i];
      gl.useProgram(program.handle);
      if (program.loaded !== ints) {
        if (program.ints) gl.uniform4iv(program.ints, ints);
        if (program.floats) gl.uniform4fv(program.floats, floats);
        program.loaded = ints;
      }
      for (let unit = 0; unit < inputs.length; unit++) {
        gl.activeTexture(gl.TEXTURE0 + unit);
        gl.bindTexture(inputs[unit].kind, inputs[unit].handle);
      }
      gl.bindFramebuffer(gl.FRAMEBUFFER, target);
      gl.viewport(0, 0, width, rows);
      gl.drawArrays(gl.TRIANGLES, 0, 3);
      if (i % this.flushEvery === this.flushEvery - 1) gl.flush();
    }
  }

  /**
   * Runs a segment, then times its steps one by one.
   * @param {Prepared} prepared @param {number} segment @param {Feed[]} feeds
   * @returns {Promise<import('../gpu/step.js').StepTime[]>}
   */
  async profile(prepared, segment, feeds) {
    await this.run(prepared, segment, feeds);
    return profilePart(this.device, /** @type {Part} */ (prepared.parts[segment]), (list) => this.draw(list));
  }

  /** Frees what a plan alone holds. @param {Prepared} prepared */
  release(prepared) {
    if (!this.prepared.delete(prepared)) return;
    for (const texture of prepared.textures) this.device.textures.drop(texture);
    for (const program of prepared.programs) this.device.programs.drop(program);
    for (const key of prepared.keys) {
      const held = this.constants.get(key);
      if (!held || --held.users) continue;
      this.device.textures.drop(held.texture);
      this.constants.delete(key);
    }
  }

  /** @returns {{bytes: number}} of textures of this model, and of the buffers that the device's models share */
  memory() {
    if (this.disposed) return { bytes: 0 };
    let bytes = this.device.reader.bytes + this.pictures.bytes;
    for (const { bytes: own } of this.prepared) bytes += own;
    for (const { texture } of this.constants.values()) bytes += texture.bytes;
    return { bytes };
  }

  dispose() {
    if (this.disposed) return;
    this.disposed = true;
    for (const prepared of [...this.prepared]) this.release(prepared);
    this.pictures.dispose();
    this.device.release();
  }
}

/** @param {Place} input a table or a constant value @returns {{key: string, data: () => Float32Array, exact: boolean}} */
function contentOf(input) {
  if ('table' in input) return { key: input.table.key, data: input.table.make, exact: !input.table.key };
  if (!('value' in input)) throw new TypeError('scratch has no content');
  const value = owner(input.value), { layout, shape } = value, data = value.data;
  if (!data) throw new TypeError(`${value.name} has no content`);
  return { key: value.key && `${value.key}|${layout}|${shape}`, exact: false, data: () => (layout === 'linear' ? data() : packed(data(), shape)) };
}

/** Row-major [N,C,H,W] as c4 texels, layer after layer where it has layers. @param {Float32Array} data @param {number[]} shape @returns {Float32Array} */
function packed(data, shape) {
  const [N, C, H, W] = shape, { quad, cells } = storageOfValue({ shape, layout: 'c4' }), wide = quad ? fours(W) : 1;
  const out = new Float32Array(4 * cells * (quad ? LAYERS : 1));
  for (let i = 0, n = 0; n < N; n++) {
    for (let c = 0; c < C; c++) {
      for (let h = 0; h < H; h++) {
        const row = ((n * fours(C) + (c >> 2)) * H + h) * wide;
        for (let w = 0; w < W; w++, i++) out[((w & 3) * cells + row + (w >> 2)) * 4 + (c & 3)] = data[i];
      }
    }
  }
  return out;
}

/** @param {Place} place @param {boolean} half @returns {number} */
function bytesOf(place, half) {
  const { quad, cells } = storageOf(place);
  return cells * (quad ? LAYERS : 1) * (half ? 8 : 16);
}
