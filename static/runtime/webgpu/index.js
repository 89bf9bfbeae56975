// The WebGPU backend of one model: constants, buffers, pipelines and bind groups are made once; a run is one submit.
import { texels, owner } from '../gpu/step.js';
import { InPageError } from '../errors.js';
import { count } from '../ops/node.js';
import { FUNCTIONS } from './functions.js';
import { holdDevice } from './device.js';
import { assign, bytesOf, packed } from './memory.js';
import { Pictures } from './picture.js';
import { profile } from './profile.js';
import { programsOf } from './programs.js';
import { Uploads } from './uploads.js';

/** @typedef {import('../gpu/step.js').GpuPlan} GpuPlan */
/** @typedef {import('../gpu/step.js').GpuSegment} GpuSegment */
/** @typedef {import('../gpu/step.js').GpuValue} GpuValue */
/** @typedef {import('../gpu/step.js').Step} Step */
/** @typedef {import('../gpu/step.js').StepTime} StepTime */
/** @typedef {import('./kernel.js').Binding} Binding */
/** @typedef {import('./kernel.js').Format} Format */
/** @typedef {import('./kernel.js').Program} Program */
/** @typedef {{pipeline: GPUComputePipeline, group: GPUBindGroup, groups: number[], step: Step, bytes: number}} Dispatch */
/** @typedef {{buffer: GPUBuffer, bytes: number, at: number}} Port a value's buffer; at: where it lies in the read-back */
/** @typedef {{dispatches: Dispatch[], uploads: Uploads[], downloads: Port[], readBytes: number, idle: GPUBuffer[]}} Ready idle:
 *   read-back buffers that no frame waits for */
/** @typedef {{segments: (Ready|null)[], buffers: GPUBuffer[]}} Prepared */

const UNIFORM_STEP = 256; // what uniform buffer offsets must be multiples of
const MAX_IDLE = 8; // read-back buffers kept per segment

/**
 * @param {{precision?: 'float32'|'float16'}} [options]
 * @returns {Promise<WebgpuBackend>}
 * @throws {InPageError} no_backend
 */
export async function createBackend({ precision = 'float32' } = {}) {
  return new WebgpuBackend(await holdDevice(), precision);
}

export class WebgpuBackend {
  /** @param {import('./device.js').SharedDevice} home @param {'float32'|'float16'} precision */
  constructor(home, precision) {
    this.home = home;
    this.device = home.device;
    this.precision = precision;
    this.name = /** @type {const} */ ('webgpu');
    this.lost = home.lost;
    this.driver = home.driver;
    const { maxStorageBuffersPerShaderStage: buffers, maxStorageBufferBindingSize: bytes, maxBufferSize } = this.device.limits;
    this.maxInputs = buffers - 3; // the result, weights and bias aside
    this.maxBytes = Math.min(bytes, maxBufferSize);
    /** @type {Map<string, GPUBuffer>} constants of the model, by key and format */
    this.constants = new Map();
    /** @type {Set<GPUBuffer>} all that this model holds */
    this.held = new Set();
    this.pictures = new Pictures(this.device, (descriptor) => this.allocate(descriptor), (buffer) => this.free(buffer));
    this.disposed = false;
  }

  /** @param {Step} step @returns {string} */
  supports({ x, y, tail }) {
    const large = [...x, y].find((value) => Math.max(texels(value), texels({ ...value, layout: value.shape.length === 4 ? 'c4' : 'linear' })) * 16 > this.maxBytes);
    if (large) return `${large.name} is larger than this GPU's buffers`;
    const missing = tail.find((t) => t.fn === 'act' && !Object.hasOwn(FUNCTIONS, t.act.kind));
    return missing ? 'the GPU has no such function' : '';
  }

  /** @param {GPUBufferDescriptor} descriptor @returns {GPUBuffer} */
  allocate(descriptor) {
    const buffer = this.device.createBuffer(descriptor);
    this.held.add(buffer);
    return buffer;
  }

  /** @param {GPUBuffer} buffer */
  free(buffer) {
    this.held.delete(buffer);
    buffer.destroy();
  }

  /** @param {string} key '' for one that only the plan needs @param {Format} format @param {() => Float32Array} data @param {GPUBuffer[]} own of the plan */
  constant(key, format, data, own) {
    const name = `${key} ${format}`, known = key && this.constants.get(name);
    if (known) return known;
    const numbers = packed(data(), format), size = Math.max(16, Math.ceil(numbers.byteLength / 4) * 4);
    const buffer = this.allocate({ size, usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST, mappedAtCreation: true });
    new Uint8Array(buffer.getMappedRange()).set(new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength));
    buffer.unmap();
    if (key) this.constants.set(name, buffer);
    else own.push(buffer);
    return buffer;
  }

  /** @param {GpuPlan} plan @returns {Promise<Prepared>} @throws {InPageError} out_of_memory, no_backend, device_lost */
  async prepare(plan) {
    this.device.pushErrorScope('out-of-memory');
    this.device.pushErrorScope('validation');
    /** @type {GPUBuffer[]} */
    const own = [];
    let made, invalid, full;
    try {
      made = this.build(plan, own);
    } finally {
      [invalid, full] = await Promise.all([this.device.popErrorScope(), this.device.popErrorScope()].map((scope) => scope.catch(() => null)));
    }
    if (this.home.gone) throw new InPageError('device_lost', 'The GPU was lost');
    if (invalid || full) {
      for (const buffer of own) this.free(buffer);
      throw new InPageError(full ? 'out_of_memory' : 'no_backend', full ? 'The GPU has no memory for the model' : 'The GPU refused the model', {
        where: (full ?? invalid)?.message, hint: 'use a smaller input, or another backend',
      });
    }
    try {
      return { segments: await this.bind(made), buffers: own };
    } catch (error) {
      for (const buffer of own) this.free(buffer);
      throw error;
    }
  }

  /**
   * Compiles what is not compiled yet, then binds buffers to all of it.
   * @param {(ReturnType<WebgpuBackend['buildSegment']>|null)[]} made @returns {Promise<(Ready|null)[]>}
   */
  async bind(made) {
    const compiled = await Promise.all(made.map((ready) => Promise.all((ready?.dispatches ?? []).map(({ program, step }) => (
      this.home.compile(program.code, program.reads.length, step.where))))));
    if (this.disposed) throw new InPageError('disposed', 'The model is disposed', { hint: 'load it again' });
    this.device.pushErrorScope('validation');
    const bound = made.map((ready, s) => ready && {
      ...ready,
      dispatches: ready.dispatches.map(({ program, step, entries, bytes }, i) => {
        const { pipeline, layout } = compiled[s][i];
        const group = this.device.createBindGroup({ layout, entries: entries.map((resource, binding) => ({ binding, resource })) });
        return { pipeline, group, groups: program.groups, step, bytes };
      }),
    });
    const invalid = await this.device.popErrorScope().catch(() => null);
    if (invalid) throw new InPageError('no_backend', 'The GPU refused the model', { where: invalid.message, hint: 'use another backend' });
    return bound;
  }

  /** @param {GpuPlan} plan @param {GPUBuffer[]} own extended by what it allocates */
  build(plan, own) {
    const wide = new Set(plan.segments.flatMap((segment) => (segment.on === 'gpu' ? [...segment.uploads, ...segment.downloads].map(owner) : [])));
    /** @param {GpuValue} value @returns {Format} the host reads and writes float32 */
    const formatOf = (value) => (this.precision === 'float16' && !wide.has(value) ? 'half' : 'f32');
    const flowing = plan.values.filter((value) => owner(value) === value && !value.data);
    const { slots, of } = assign(flowing, (value) => bytesOf(value, formatOf(value)));
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    const buffers = slots.map((size) => this.allocate({ size, usage }));
    own.push(...buffers);
    /** @param {GpuValue} value @returns {GPUBuffer} */
    const bufferOf = (value) => {
      const home = owner(value), { data } = home;
      if (!data) return buffers[/** @type {number} */ (of.get(home))];
      const key = home.key && `${home.key} ${home.layout} ${home.shape}`;
      return this.constant(key, formatOf(home), () => arranged(home, data()), own);
    };
    return plan.segments.map((segment) => (segment.on === 'gpu' ? this.buildSegment(segment, formatOf, bufferOf, own) : null));
  }

  /**
   * @param {GpuSegment} segment @param {(value: GpuValue) => Format} formatOf @param {(value: GpuValue) => GPUBuffer} bufferOf
   * @param {GPUBuffer[]} own
   */
  buildSegment({ steps, uploads, downloads }, formatOf, bufferOf, own) {
    const weights = this.precision === 'float16' ? 'half' : 'f32';
    const programs = steps.flatMap((step) => programsOf(step, formatOf, weights).map((program) => ({ step, program })));
    const { buffer: uniforms, offsets } = this.uniforms(programs.map(({ program }) => program), own);
    /** @type {Map<string, GPUBuffer>} */
    const scratch = new Map();
    const dispatches = programs.map(({ step, program }, i) => {
      /** @param {Binding} binding @returns {GPUBuffer} */
      const resolve = (binding) => {
        if ('value' in binding) return bufferOf(binding.value);
        if ('table' in binding) return this.constant(binding.table.key, binding.table.format, binding.table.data, own);
        const key = `${binding.scratch} ${binding.bytes}`, known = scratch.get(key);
        if (known) return known;
        const buffer = this.allocate({ size: binding.bytes, usage: GPUBufferUsage.STORAGE });
        scratch.set(key, buffer);
        own.push(buffer);
        return buffer;
      };
      const bound = [...program.reads, program.writes].map(resolve);
      const uniform = { buffer: uniforms, offset: offsets[i], size: 4 * program.fields.length };
      return { program, step, entries: [uniform, ...bound.map((buffer) => ({ buffer }))], bytes: bytesMoved(step, formatOf) };
    });
    let at = 0;
    const readBack = downloads.map((value) => {
      const port = { buffer: bufferOf(value), bytes: 4 * count(value.shape), at };
      at += Math.ceil(port.bytes / 16) * 16;
      return port;
    });
    return {
      dispatches, downloads: readBack, readBytes: at, idle: /** @type {GPUBuffer[]} */ ([]),
      uploads: uploads.map((value) => new Uploads(this.device, (descriptor) => this.allocate(descriptor), bufferOf(value), 4 * count(value.shape))),
    };
  }

  /** The numbers of all programs in one buffer. @param {Program[]} programs @param {GPUBuffer[]} own */
  uniforms(programs, own) {
    let size = 0;
    const offsets = programs.map(({ fields }) => {
      const at = size;
      size += Math.ceil(4 * fields.length / UNIFORM_STEP) * UNIFORM_STEP;
      return at;
    });
    const buffer = this.allocate({ size: Math.max(size, UNIFORM_STEP), usage: GPUBufferUsage.UNIFORM, mappedAtCreation: true });
    const view = new DataView(buffer.getMappedRange());
    programs.forEach(({ fields }, i) => fields.forEach(({ type, number }, k) => {
      const at = offsets[i] + 4 * k;
      if (type === 'f32') view.setFloat32(at, number, true);
      else if (type === 'i32') view.setInt32(at, number, true);
      else view.setUint32(at, number, true);
    }));
    buffer.unmap();
    own.push(buffer);
    return { buffer, offsets };
  }

  /**
   * @param {unknown} prepared @param {number} segment @param {import('../gpu/step.js').Feed[]} feeds
   * @returns {Promise<Float32Array[]>}
   * @throws {InPageError} device_lost, disposed
   */
  async run(prepared, segment, feeds) {
    const ready = this.readyOf(prepared, segment), encoder = this.device.createCommandEncoder();
    feeds.forEach((feed, i) => this.upload(encoder, ready.uploads[i], feed));
    const pass = encoder.beginComputePass();
    for (const { pipeline, group, groups } of ready.dispatches) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(groups[0], groups[1], groups[2]);
    }
    pass.end();
    return this.readBack(ready, encoder);
  }

  /** @param {unknown} prepared @param {number} segment @returns {Ready} */
  readyOf(prepared, segment) {
    if (this.disposed) throw new InPageError('disposed', 'The model is disposed', { hint: 'load it again' });
    if (this.home.gone) throw new InPageError('device_lost', 'The GPU was lost');
    return /** @type {Ready} */ (/** @type {Prepared} */ (prepared).segments[segment]);
  }

  /**
   * What a picture shows now, for a later run; null where it cannot be had this way.
   * @param {any} source drawable, or pixels @param {{width: number, height: number}} size
   * @returns {import('../gpu/step.js').Captured|null}
   */
  capture(source, size) {
    return this.disposed || this.home.gone ? null : this.pictures.capture(source, size);
  }

  /** @param {GPUCommandEncoder} encoder @param {Uploads} to @param {import('../gpu/step.js').Feed} feed */
  upload(encoder, to, feed) {
    if (feed instanceof Float32Array) to.write(encoder, feed);
    else this.pictures.encode(encoder, feed.spec, /** @type {import('./picture.js').Picture} */ (feed.picture), to.target);
  }

  /** @param {Ready} ready @param {GPUCommandEncoder} encoder */
  submit(ready, encoder) {
    this.device.queue.submit([encoder.finish()]);
    for (const upload of ready.uploads) upload.sent();
  }

  /** Submits, and waits for the results. @param {Ready} ready @param {GPUCommandEncoder} encoder @returns {Promise<Float32Array[]>} */
  async readBack(ready, encoder) {
    const { downloads, readBytes, idle } = ready;
    if (!downloads.length) {
      this.submit(ready, encoder);
      return [];
    }
    const staging = idle.pop() ?? this.allocate({ size: readBytes, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    for (const { buffer, bytes, at } of downloads) encoder.copyBufferToBuffer(buffer, 0, staging, at, bytes);
    this.submit(ready, encoder);
    try {
      await this.home.await(staging.mapAsync(GPUMapMode.READ));
    } catch (cause) {
      throw new InPageError(this.disposed ? 'disposed' : 'device_lost', this.disposed ? 'The model is disposed' : 'The GPU was lost', { cause });
    }
    const results = downloads.map(({ bytes, at }) => new Float32Array(staging.getMappedRange(at, bytes).slice(0)));
    staging.unmap();
    if (idle.length < MAX_IDLE) idle.push(staging);
    else this.free(staging);
    return results;
  }

  /** @param {unknown} prepared @param {number} segment @param {import('../gpu/step.js').Feed[]} feeds @returns {Promise<StepTime[]>} */
  profile(prepared, segment, feeds) {
    const ready = this.readyOf(prepared, segment), encoder = this.device.createCommandEncoder();
    feeds.forEach((feed, i) => this.upload(encoder, ready.uploads[i], feed));
    this.submit(ready, encoder);
    return profile(this.device, ready.dispatches);
  }

  /** @param {unknown} prepared */
  release(prepared) {
    const { buffers, segments } = /** @type {Prepared} */ (prepared);
    for (const buffer of [...buffers, ...segments.flatMap((ready) => [...ready?.idle ?? [], ...ready?.uploads.flatMap(({ all }) => all) ?? []])]) this.free(buffer);
  }

  /** @returns {{bytes: number}} */
  memory() {
    return { bytes: [...this.held].reduce((sum, { size }) => sum + size, this.pictures.bytes) };
  }

  dispose() {
    if (this.disposed) return;
    this.disposed = true;
    this.pictures.dispose();
    for (const buffer of [...this.held]) this.free(buffer);
    this.constants.clear();
    this.home.release();
  }
}

/** A constant's elements as its layout wants them. @param {GpuValue} value @param {Float32Array} data @returns {Float32Array} */
function arranged(value, data) {
  if (value.layout === 'linear') return data;
  const [N, C, H, W] = value.shape, P = H * W, out = new Float32Array(4 * texels(value));
  for (let n = 0; n < N; n++) {
    for (let c = 0; c < C; c++) {
      const from = (n * C + c) * P, to = (n * Math.ceil(C / 4) + (c >> 2)) * P;
      for (let p = 0; p < P; p++) out[(to + p) * 4 + (c & 3)] = data[from + p];
    }
  }
  return out;
}

/** What a step reads and writes, each value once. @param {Step} step @param {(value: GpuValue) => Format} formatOf */
function bytesMoved(step, formatOf) {
  const values = [...step.x, step.y], filter = 'w' in step ? count(step.w.shape) * (formatOf(step.w) === 'f32' ? 4 : 2) : 0;
  return values.reduce((sum, value) => sum + bytesOf(value, formatOf(owner(value))), filter);
}
