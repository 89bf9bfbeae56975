// The check vector of a bundle: an input, and what the model's own operators made of it where it was converted.
import { InPageError } from '../errors.js';
import { DTYPES, sizeOf } from '../tensor.js';

/** @typedef {import('../tensor.js').Tensor} Tensor */
/**
 * @typedef {object} Picture how stored pixels [N, H, W, C] become an input: y[c] = (pixel * scale - mean[c]) / std[c]
 * @property {number} scale @property {number[]} mean @property {number[]} std @property {'nchw'|'nhwc'} layout
 */
/** @typedef {{name: string, shape: number[], dtype: string} & Partial<Picture>} StoredInput */
/**
 * @typedef {object} StoredOutput every `step`th number is stored; range: of all of them
 * @property {string} name @property {number[]} shape @property {string} dtype @property {number} step @property {number} range
 */
/** @typedef {{file: string, bytes: number, sha256: string, inputs: StoredInput[], outputs: StoredOutput[]}} CheckEntry of model.json */
/** @typedef {{feeds: Record<string, Tensor>, wanted: (StoredOutput & {data: import('../tensor.js').TensorData})[]}} CheckVector */

/**
 * @param {CheckEntry} entry @param {Uint8Array<ArrayBuffer>} bytes of its file
 * @returns {CheckVector}
 * @throws {InPageError} damaged, when the two do not fit together
 */
export function parseCheck({ inputs, outputs, file }, bytes) {
  let at = 0;
  /** @param {string} dtype @param {number} count */
  const take = (dtype, count) => {
    const { array, bytes: each } = DTYPES[dtype] ?? refuse(file), end = at + each * count;
    if (!Number.isSafeInteger(end) || end > bytes.length) refuse(file);
    const data = new array(bytes.buffer.slice(bytes.byteOffset + at, bytes.byteOffset + end));
    at = end;
    return data;
  };
  const feeds = Object.fromEntries(inputs.map(({ name, shape, dtype, ...picture }) => {
    const data = take(dtype, sizeOf(shape));
    return [name, { shape, data: picture.layout ? normalise(data, shape, /** @type {Picture} */ (picture)) : data }];
  }));
  const wanted = outputs.map((output) => ({ ...output, data: take(output.dtype, Math.ceil(sizeOf(output.shape) / output.step)) }));
  if (at !== bytes.length) refuse(file);
  return { feeds, wanted };
}

/** @param {string} file @returns {never} */
function refuse(file) {
  throw new InPageError('damaged', 'The check vector does not fit its entry in model.json', { where: file, hint: 'convert the model again' });
}

/** @param {ArrayLike<any>} pixels [N, H, W, C] @param {number[]} shape of the input @param {Picture} picture */
function normalise(pixels, shape, { scale, mean, std, layout }) {
  const planes = mean.length, y = new Float32Array(pixels.length), area = sizeOf(shape.slice(1)) / planes;
  for (let i = 0; i < pixels.length; i++) {
    const c = i % planes, pixel = (i - c) / planes, n = Math.floor(pixel / area);
    y[layout === 'nhwc' ? i : (n * planes + c) * area + pixel - n * area] = (pixels[i] * scale - mean[c]) / std[c];
  }
  return y;
}

/**
 * The largest difference as a share of an output's range; Infinity where shapes or whole numbers differ, or something
 * is not finite.
 * @param {Record<string, Tensor>} got @param {CheckVector['wanted']} wanted
 */
export function storedError(got, wanted) {
  return Math.max(0, ...wanted.map(({ name, shape, step, range, data }) => {
    const other = got[name], whole = !(data instanceof Float32Array);
    if (other.shape.join() !== shape.join()) return Infinity;
    let worst = 0;
    for (let i = 0; i < data.length; i++) {
      const difference = Math.abs(Number(other.data[i * step]) - Number(data[i]));
      if (!(difference <= worst)) worst = Number.isNaN(difference) || whole ? Infinity : difference;
    }
    return worst === 0 ? 0 : worst / Math.max(range, 1e-30);
  }));
}
