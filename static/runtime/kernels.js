// The kernels, compiled once per page or worker: the build with relaxed SIMD where the device has it.
import { InPageError, asInPageError } from './errors.js';
import { DEFAULT_POLICY, fetchBytes } from './fetch.js';
import { IN_NODE } from './source.js';

const RELAXED = new URL('./wasm/kernels.wasm', import.meta.url);
const STRICT = new URL('./wasm/kernels.strict.wasm', import.meta.url);
const fitting = () => (hasRelaxedSimd() ? RELAXED : STRICT);
const LIMIT_BYTES = 64 * 1024 * 1024;

/** (v128) -> f32x4.relaxed_madd of it: valid where the relaxed instructions are. */
const RELAXED_PROBE = Uint8Array.of(
  0, 97, 115, 109, 1, 0, 0, 0, 1, 6, 1, 96, 1, 123, 1, 123, 3, 2, 1, 0, 10, 13, 1, 11, 0, 32, 0, 32, 0, 32, 0, 253, 133, 2, 11);

/** Whether this device runs the faster build of the kernels. */
export const hasRelaxedSimd = () => WebAssembly.validate(RELAXED_PROBE);

/** @type {Promise<WebAssembly.Module>|undefined} */
let compiling;

/**
 * The compiled kernels; a failure is not kept, so that a later load tries again.
 * @param {Promise<WebAssembly.Module|null>|null} [lent] in a worker: what the page compiles; null where it could not
 * @returns {Promise<WebAssembly.Module>}
 * @throws {InPageError} no_backend when the file is missing or not WebAssembly; network
 */
export function kernels(lent = null) {
  compiling ??= own(lent).catch((thrown) => {
    compiling = undefined;
    throw thrown;
  });
  return compiling;
}

/** @param {Promise<WebAssembly.Module|null>|null} lent @returns {Promise<WebAssembly.Module>} */
async function own(lent) {
  return await lent ?? fetchKernels(fitting());
}

/** For a worker that is starting: tried once; null where that did not work, and the worker finds out why. */
export const quickKernels = () => streamed(fitting(), DEFAULT_POLICY.stall_ms);

/**
 * @param {URL} address
 * @param {Partial<import('./fetch.js').FetchPolicy>} [policy]
 * @returns {Promise<WebAssembly.Module>}
 */
export async function fetchKernels(address, policy = {}) {
  const where = address.href;
  try {
    if (IN_NODE && address.protocol === 'file:') {
      const { readFile } = await import('./source_node.js');
      const { fileURLToPath } = await import('node:url');
      return await compile(await readFile(fileURLToPath(address), { limit: LIMIT_BYTES }));
    }
    const full = { ...DEFAULT_POLICY, ...policy };
    return await streamed(address, full.stall_ms)
      ?? await compile(await fetchBytes(where, { policy: full, limit: LIMIT_BYTES, cache: 'reload' }));
  } catch (thrown) {
    if (thrown instanceof InPageError && thrown.code === 'not_found') {
      throw new InPageError('no_backend', 'The kernels are not built: the file is missing', {
        where, hint: 'run: python static/runtime/wasm/build.py', cause: thrown,
      });
    }
    throw asInPageError(thrown, 'no_backend', {
      where, hint: 'build the kernels again: python static/runtime/wasm/build.py',
    });
  }
}

/**
 * The fast way: compiled while it arrives, and the browser may keep the compiled code. Null when that did not work
 * for any reason; the slow way, with retries, then finds out why.
 * @param {URL} address @param {number} limit_ms
 * @returns {Promise<WebAssembly.Module|null>}
 */
async function streamed(address, limit_ms) {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), limit_ms);
  try {
    const response = await fetch(address, { signal: controller.signal });
    const typed = response.headers.get('content-type')?.split(';')[0].trim() === 'application/wasm';
    if (!response.ok) return null;
    return await compile(typed ? response : new Uint8Array(await response.arrayBuffer()));
  } catch {
    return null;
  } finally {
    clearTimeout(timer);
    controller.abort();
  }
}

/**
 * Compiles the kernels, while they arrive where the platform can.
 * @param {BufferSource|Response|Promise<Response>} source
 * @returns {Promise<WebAssembly.Module>}
 * @throws {InPageError} no_backend where this device cannot run them
 */
export async function compile(source) {
  try {
    if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) return await WebAssembly.compile(source);
    const response = await /** @type {Promise<Response>} */ (source);
    const streams = 'compileStreaming' in WebAssembly && response.headers.get('content-type')?.startsWith('application/wasm');
    return streams ? await WebAssembly.compileStreaming(response) : await WebAssembly.compile(await response.arrayBuffer());
  } catch (error) {
    if (!(error instanceof WebAssembly.CompileError) && typeof WebAssembly === 'object') throw error;
    throw new InPageError('no_backend', 'This browser cannot run the WebAssembly kernels', {
      hint: 'they need WebAssembly with 128-bit SIMD: use a browser from 2021 or later (Safari 16.4)', cause: error,
    });
  }
}
