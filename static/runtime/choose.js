// What this device can do, and whether it can run a model.
import { InPageError } from './errors.js';

/** @typedef {'wasm'|'webgpu'|'webgl'} Backend */
/**
 * @typedef {object} Capabilities
 * @property {boolean} wasm
 * @property {boolean} simd fixed-width SIMD in WebAssembly: needed to run models
 * @property {boolean} relaxedSimd
 * @property {boolean} threads shared memory is allowed: the page is cross-origin isolated
 * @property {boolean} webgl2
 * @property {boolean} webgpu an adapter is really there
 * @property {number|null} memoryGB as told by the browser, rounded down to a power of two
 * @property {number|null} cores
 */

/** The smallest modules that need each feature; a browser without it does not find them valid. */
const HEAD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10]; // one function: () -> v128
const SIMD = [...HEAD, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];
const RELAXED_SIMD = [...HEAD, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11];
/** Renderers that are the processor. */
const IN_SOFTWARE = /swiftshader|llvmpipe|softpipe|software|basic render/i;
const ADAPTER_WAIT_MS = 2000;

/** @param {number[]} module */
const validates = (module) => typeof WebAssembly === 'object' && WebAssembly.validate(new Uint8Array(module));

/** Whether fixed-width WASM SIMD is there. @returns {boolean} */
export const hasSimd = () => validates(SIMD);

/** @returns {Promise<Capabilities>} */
export async function capabilities() {
  const device = /** @type {Navigator & {deviceMemory?: number}} */ (globalThis.navigator ?? {});
  return {
    wasm: typeof WebAssembly === 'object',
    simd: hasSimd(),
    relaxedSimd: validates(RELAXED_SIMD),
    threads: globalThis.crossOriginIsolated === true && typeof SharedArrayBuffer === 'function',
    webgl2: hasWebgl2(),
    webgpu: await hasWebgpu(device),
    memoryGB: device.deviceMemory ?? null,
    cores: device.hardwareConcurrency ?? null,
  };
}

/** @returns {boolean} */
function hasWebgl2() {
  const canvas = typeof OffscreenCanvas === 'function' ? new OffscreenCanvas(1, 1)
    : typeof document === 'object' ? document.createElement('canvas') : null;
  const gl = /** @type {WebGL2RenderingContext|null} */ (canvas?.getContext('webgl2') ?? null);
  gl?.getExtension('WEBGL_lose_context')?.loseContext(); // browsers allow few contexts at a time
  return gl !== null;
}

/** The API may be there without a device behind it. @param {object} device the navigator @returns {Promise<boolean>} */
async function hasWebgpu(device) {
  if (!('gpu' in device)) return false;
  const gpu = /** @type {{requestAdapter(): Promise<object|null>}} */ (device.gpu);
  /** @type {Promise<null>} */
  const late = new Promise((resolve) => { setTimeout(resolve, ADAPTER_WAIT_MS, null); });
  return (await Promise.race([gpu.requestAdapter().catch(() => null), late])) !== null;
}

/**
 * Every backend there is: what a device lacks for it, as far as can be seen at once ('' = nothing). In the order in which
 * they are tried and measured.
 * @type {Record<Backend, () => string>}
 */
const BACKENDS = {
  wasm: () => (hasSimd() ? '' : 'WebAssembly SIMD'),
  webgpu: () => (!hasSimd() ? 'WebAssembly SIMD' : globalThis.navigator && 'gpu' in navigator ? '' : 'WebGPU'),
  webgl: () => (!hasSimd() ? 'WebAssembly SIMD' : typeof WebGL2RenderingContext === 'function' ? '' : 'WebGL2'),
};

/**
 * Whether a chip computes it: browsers without one offer graphics computed by the processor, which WebAssembly does better.
 * @param {Backend} backend
 * @returns {Promise<boolean>}
 */
export async function inHardware(backend) {
  if (backend === 'webgl') {
    const canvas = typeof OffscreenCanvas === 'function' ? new OffscreenCanvas(1, 1) : document.createElement('canvas');
    const gl = /** @type {WebGL2RenderingContext|null} */ (canvas.getContext('webgl2', { failIfMajorPerformanceCaveat: true }));
    const info = gl?.getExtension('WEBGL_debug_renderer_info');
    const chip = gl && String(gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
    gl?.getExtension('WEBGL_lose_context')?.loseContext(); // browsers allow few contexts at a time
    return chip !== null && !IN_SOFTWARE.test(chip); // not every browser calls it a caveat
  }
  if (backend !== 'webgpu') return true;
  const adapter = await /** @type {any} */ (navigator).gpu.requestAdapter().catch(() => null);
  return adapter !== null && !(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter);
}

/** The backends that may work here, the first to try first. @returns {Backend[]} */
export const candidates = () => /** @type {Backend[]} */ (Object.keys(BACKENDS)).filter((name) => !BACKENDS[name]());

/**
 * The backend that will run a model.
 * @param {string} [wish] the caller's `backend`
 * @returns {Backend}
 * @throws {InPageError} no_backend
 */
export function chooseBackend(wish = 'wasm') {
  if (!Object.hasOwn(BACKENDS, wish)) {
    const names = Object.keys(BACKENDS).map((known) => `"${known}"`).join(' or ');
    throw new InPageError('no_backend', `There is no backend named ${JSON.stringify(wish)}`, {
      where: 'load()', hint: `leave "backend" out, or give ${names}`,
    });
  }
  const name = /** @type {Backend} */ (wish), lacks = BACKENDS[name]();
  if (lacks) {
    throw new InPageError('no_backend', `This browser lacks ${lacks}`, {
      hint: 'use a current Chrome, Edge, Firefox or Safari (16.4 or newer)',
    });
  }
  return name;
}
