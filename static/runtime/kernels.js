// The kernels, compiled once per page or worker: the build with relaxed SIMD where the device has it.
import { compile, hasRelaxedSimd } from './backends/wasm.js';
import { InPageError, asInPageError } from './errors.js';
import { DEFAULT_POLICY, fetchBytes } from './fetch.js';
import { IN_NODE } from './source.js';

const RELAXED = new URL('./wasm/kernels.wasm', import.meta.url);
const STRICT = new URL('./wasm/kernels.strict.wasm', import.meta.url);
const LIMIT_BYTES = 64 * 1024 * 1024;

/** @type {Promise<WebAssembly.Module>|undefined} */
let compiling;

/**
 * The compiled kernels; a failure is not kept, so that a later load tries again.
 * @returns {Promise<WebAssembly.Module>}
 * @throws {InPageError} no_backend when the file is missing or not WebAssembly; network
 */
export function kernels() {
  compiling ??= fetchKernels(hasRelaxedSimd() ? RELAXED : STRICT).catch((thrown) => {
    compiling = undefined;
    throw thrown;
  });
  return compiling;
}

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
