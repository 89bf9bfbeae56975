// The GPU device of this page or worker: one, shared by all its models, with its compiled programs.
import { InPageError } from '../errors.js';

/** @typedef {{pipeline: GPUComputePipeline, layout: GPUBindGroupLayout}} Compiled */

const ADAPTER_WAIT_MS = 4000;
const PATIENCE_MS = 12;
const WISHES = /** @type {const} */ (['timestamp-query', 'shader-f16', 'subgroups']);
/** Limits that models may use up: as much as the adapter has. */
const LIMITS = /** @type {const} */ ([
  'maxStorageBuffersPerShaderStage', 'maxStorageBufferBindingSize', 'maxBufferSize', 'maxComputeWorkgroupStorageSize',
]);

/** @type {Promise<SharedDevice>|null} */
let shared = null;

/**
 * The device, kept while somebody holds it.
 * @returns {Promise<SharedDevice>} to be released once
 * @throws {InPageError} no_backend
 */
export async function holdDevice() {
  shared ??= open().catch((error) => {
    shared = null;
    throw error;
  });
  const device = await shared;
  if (device.gone) {
    shared = null;
    return holdDevice();
  }
  device.users++;
  return device;
}

/** @returns {Promise<SharedDevice>} */
async function open() {
  const gpu = globalThis.navigator?.gpu, late = new Promise((resolve) => { setTimeout(resolve, ADAPTER_WAIT_MS, null); });
  const adapter = /** @type {GPUAdapter|null} */ (gpu ? await Promise.race([gpu.requestAdapter({ powerPreference: 'high-performance' }).catch(() => null), late]) : null);
  if (!adapter) {
    throw new InPageError('no_backend', gpu ? 'This device has no GPU for WebGPU' : 'This browser has no WebGPU', {
      where: 'load()', hint: 'leave "backend" out, or give "wasm"',
    });
  }
  try {
    const limits = /** @type {Record<string, number>} */ ({});
    for (const name of LIMITS) limits[name] = adapter.limits[name];
    const device = await adapter.requestDevice({
      requiredFeatures: WISHES.filter((name) => adapter.features.has(name)), requiredLimits: limits,
    });
    return new SharedDevice(device, adapter.info);
  } catch (cause) {
    throw new InPageError('no_backend', 'The GPU gave no device', { where: 'load()', hint: 'leave "backend" out, or give "wasm"', cause });
  }
}

export class SharedDevice {
  /** @param {GPUDevice} device @param {GPUAdapterInfo} info */
  constructor(device, info) {
    this.device = device;
    this.info = info;
    this.users = 0;
    this.gone = false;
    this.waiting = 0;
    this.patience = 0;
    this.asking = false;
    /** @type {Map<string, Promise<Compiled>>} by code and bindings */
    this.programs = new Map();
    /** @type {Map<number, GPUBindGroupLayout>} by number of read buffers */
    this.layouts = new Map();
    /** @type {Promise<string>} */
    this.lost = device.lost.then(({ message, reason }) => {
      this.gone = true;
      return message || reason;
    });
  }

  /** What tells one driver from another. @returns {string} */
  get driver() {
    const { vendor, architecture, device, description } = this.info;
    return [vendor, architecture, device, description].join(' ').trim();
  }

  /** @param {number} reads storage buffers that are read @returns {GPUBindGroupLayout} */
  layoutOf(reads) {
    const known = this.layouts.get(reads);
    if (known) return known;
    const visibility = GPUShaderStage.COMPUTE;
    const buffers = [
      { type: /** @type {const} */ ('uniform') },
      ...Array.from({ length: reads }, () => ({ type: /** @type {const} */ ('read-only-storage') })),
      { type: /** @type {const} */ ('storage') },
    ];
    const layout = this.device.createBindGroupLayout({ entries: buffers.map((buffer, binding) => ({ binding, visibility, buffer })) });
    this.layouts.set(reads, layout);
    return layout;
  }

  /**
   * @param {string} code @param {number} reads @param {string} where for messages
   * @returns {Promise<Compiled>}
   * @throws {InPageError} no_backend, with the compiler's words
   */
  compile(code, reads, where) {
    const known = this.programs.get(code);
    if (known) return known;
    const made = this.compileNow(code, reads, where);
    this.programs.set(code, made);
    made.catch(() => this.programs.delete(code));
    return made;
  }

  /** @param {string} code @param {number} reads @param {string} where @returns {Promise<Compiled>} */
  async compileNow(code, reads, where) {
    const { device } = this, module = device.createShaderModule({ code, label: where }), layout = this.layoutOf(reads);
    try {
      const pipeline = await device.createComputePipelineAsync({
        label: where, layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }), compute: { module, entryPoint: 'main' },
      });
      return { pipeline, layout };
    } catch (cause) {
      if (this.gone) throw new InPageError('device_lost', 'The GPU was lost', { where, cause });
      const { messages } = await module.getCompilationInfo(), lines = code.split('\n');
      const told = messages.map(({ lineNum, message }) => `${message} (in line ${lineNum}: ${lines[lineNum - 1]?.trim()})`);
      throw new InPageError('no_backend', `The GPU's compiler refused a program: ${told.join('; ') || String(cause)}`, { where, cause });
    }
  }

  /**
   * Waits for work of the device. A browser looks for finished work every few milliseconds, or when it hears from us: so
   * it hears from us, one question at a time, for as long as a short frame may take.
   * @template T
   * @param {Promise<T>} work @returns {Promise<T>}
   */
  async await(work) {
    this.waiting++;
    this.patience = performance.now() + PATIENCE_MS;
    if (!this.asking) this.ask();
    try {
      return await work;
    } finally {
      this.waiting--;
    }
  }

  async ask() {
    this.asking = true;
    while (this.waiting > 0 && !this.gone && performance.now() < this.patience) {
      this.device.pushErrorScope('validation');
      await this.device.popErrorScope().catch(() => null); // a lost device is told by `lost`
    }
    this.asking = false;
  }

  /** The last one to leave frees the device. */
  release() {
    if (--this.users > 0 || this.gone) return;
    shared = null;
    this.gone = true;
    this.programs.clear();
    this.device.destroy();
  }
}
