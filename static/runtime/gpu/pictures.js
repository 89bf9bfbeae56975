// Pictures that are on the GPU already, in the place of tensors.
import { count } from '../ops/node.js';

/** @typedef {import('../wasm_engine.js').Values} Values */
/** @typedef {import('../wasm_engine.js').WasmEngine} WasmEngine */
/** @typedef {import('../tensor.js').Tensor} Tensor */
/** @typedef {import('./step.js').Backend} Backend */
/** @typedef {import('./step.js').GpuPlan} GpuPlan */

/** Whether a plan has an input read by GPU segments alone. @param {GpuPlan} plan @param {string} name */
export const onGpuAlone = ({ segments }, name) => segments.some((segment) => segment.on === 'gpu' && segment.uploads.some((value) => value.name === name))
  && segments.every((segment) => (segment.on === 'gpu' ? segment.downloads.every((value) => value.name !== name)
    : !segment.stage.reads.includes(name)));

/** Zeros in the place of numbers that only the device has. @type {Float32Array} */
let blank = new Float32Array(0);

/** A picture in the place of a tensor. */
export class PictureFeed {
  /**
   * @param {import('./step.js').Captured} picture @param {import('../preprocess.js').PreprocessSpec} spec @param {number[]} shape
   * @param {Backend} device that holds it
   */
  constructor(picture, spec, shape, device) {
    const n = count(shape);
    if (blank.length < n) blank = new Float32Array(n);
    this.picture = picture;
    this.spec = spec;
    this.shape = shape;
    this.device = device;
    this.data = blank.subarray(0, n); // for checks of type and length alone
  }
}

/** @param {string} name @param {Values} values @param {WasmEngine} host @returns {import('./step.js').Feed} */
export function feedOf(name, values, host) {
  const held = host.valueOf(name, values);
  return 'feed' in held ? /** @type {PictureFeed} */ (held.feed) : /** @type {Float32Array} */ (held.data);
}

/** @param {Tensor|PictureFeed} feed @param {string} dtype @returns {import('../wasm_engine.js').Held} */
export const heldOf = (feed, dtype) => ({ data: feed.data, shape: feed.shape, dtype, known: false, ...(feed instanceof PictureFeed ? { feed } : {}) });
