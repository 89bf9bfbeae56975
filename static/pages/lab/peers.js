// Other runtimes beside this one, where the site's owner installed them: the same model as ONNX, fed the same numbers.
import { InPageError } from '../../runtime/errors.js';

/** @typedef {import('../../runtime/tensor.js').Tensor} Tensor */
/** @typedef {import('../../runtime/source.js').Source} Source */
/** @typedef {import('./runs.js').Wish} Wish */
/**
 * @typedef {object} Ort what is used of ONNX Runtime Web, https://onnxruntime.ai/docs/api/js/
 * @property {{logLevel: string, wasm: {wasmPaths: string, numThreads: number}}} env
 * @property {new (type: string, data: unknown, dims: number[]) => object} Tensor
 * @property {{create(model: Uint8Array, options: object): Promise<Session>}} InferenceSession
 */
/**
 * @typedef {object} Session
 * @property {(feeds: Record<string, object>) => Promise<Record<string, {dims: readonly number[], getData(release: boolean): Promise<Tensor['data']>}>>} run
 * @property {() => Promise<void>} release
 */

/** @type {Wish[]} */
export const PEERS = [
  { id: 'ort-wasm', words: 'ORT Web WASM', backend: 'wasm', precision: 'float32', peer: true },
  { id: 'ort-webgpu', words: 'ORT Web WebGPU', backend: 'webgpu', precision: 'float32', peer: true },
  { id: 'ort-webgl', words: 'ORT Web WebGL', backend: 'webgl', precision: 'float32', peer: true },
];

/** @type {Map<Function, string>} how ONNX calls what is in an array */
const TYPES = new Map(/** @type {[Function, string][]} */ ([
  [Float32Array, 'float32'], [Int32Array, 'int32'], [BigInt64Array, 'int64'], [Uint8Array, 'uint8'], [Int8Array, 'int8'],
]));

/**
 * @param {string|Source} address of the bundle that has model.onnx beside it @param {string} base where the site keeps peers
 * @param {AbortSignal} signal @returns {Promise<Uint8Array>} @throws {InPageError} not_found
 */
export async function onnxOf(address, base, signal) {
  if (typeof address !== 'string') return /** @type {(file: string) => Promise<Uint8Array>} */ (address.read)('model.onnx');
  const response = await fetch(`${base}models/${address.split('/').at(-2)}.onnx`, { signal });
  if (response.ok) return new Uint8Array(await response.arrayBuffer());
  const hint = 'convert it with --targets web,onnx';
  throw new InPageError('not_found', 'The bundle has no model.onnx for ONNX Runtime Web', { where: address, hint });
}

/**
 * @param {Uint8Array} onnx @param {Wish} wish @param {string} base
 * @returns {Promise<{run(feeds: Record<string, Tensor>): Promise<Record<string, Tensor>>, dispose(): Promise<void>}>} one
 *   run at a time, as a session wants it; any error of the peer
 */
export async function openPeer(onnx, { backend }, base) {
  const folder = new URL(`${base}onnxruntime-web/`, location.href).href;
  const ort = /** @type {Ort} */ (await import(`${folder}ort.${backend}.min.mjs`));
  Object.assign(ort.env.wasm, { wasmPaths: folder, numThreads: 1 }); // as many as this page's own thread gives this runtime
  ort.env.logLevel = 'error';
  const session = await ort.InferenceSession.create(onnx, { executionProviders: [backend], graphOptimizationLevel: 'all' });
  /** @param {Record<string, Tensor>} feeds */
  const answer = async (feeds) => {
    const given = Object.entries(feeds).map(([name, { data, shape }]) => [name, new ort.Tensor(TYPES.get(data.constructor) ?? data.constructor.name, data, shape)]);
    const found = Object.entries(await session.run(Object.fromEntries(given)));
    return Object.fromEntries(await Promise.all(found.map(async ([name, value]) => [name, { data: await value.getData(true), shape: [...value.dims] }])));
  };
  /** @type {Promise<unknown>} */
  let turn = Promise.resolve();
  return {
    run(feeds) {
      const result = turn.then(() => answer(feeds));
      turn = result.catch(() => {}); // the caller of that run is told
      return result;
    },
    dispose: () => session.release(),
  };
}
