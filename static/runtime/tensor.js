// Tensors at the public face: element types and the check of what a caller feeds.
import { InPageError } from './errors.js';

/** @typedef {Float32Array|Int32Array|BigInt64Array|Uint8Array|Int8Array|Int16Array} TensorData a uint8 feed may be clamped, too */
/** @typedef {{data: TensorData, shape: number[]}} Tensor row-major, shape in elements */
/** @typedef {number|string} Dimension an integer, or a symbol: the same symbol is the same size, "?…" is any size */
/** @typedef {{name: string, shape: Dimension[], dtype: string}} TensorInfo */
/** @typedef {new (buffer: ArrayBufferLike, offset?: number, length?: number) => TensorData} TensorArray */
/** @typedef {{bytes: number, array: TensorArray}} DType */

/**
 * Element types of the bundle: bytes per element in a file, and the typed array that holds them in memory.
 * float16 is widened when it is read; its tensors are Float32Array everywhere else. bool is one byte, 0 or 1.
 * @type {Record<string, DType>}
 */
export const DTYPES = Object.freeze({
  float32: { bytes: 4, array: Float32Array },
  float16: { bytes: 2, array: Float32Array },
  int32: { bytes: 4, array: Int32Array },
  int64: { bytes: 8, array: BigInt64Array },
  bool: { bytes: 1, array: Uint8Array },
  uint8: { bytes: 1, array: Uint8Array },
  int8: { bytes: 1, array: Int8Array },
  int16: { bytes: 2, array: Int16Array },
});

/** Number of elements of a shape of integers. @param {readonly number[]} shape @returns {number} */
export function sizeOf(shape) {
  return shape.reduce((total, dim) => total * dim, 1);
}

/** Whether any size is allowed there. @param {Dimension} dim */
const isFree = (dim) => (typeof dim === 'number' ? dim < 0 : dim.startsWith('?'));

/**
 * Whether a value looks like a tensor ({data, shape}) rather than a picture.
 * @param {unknown} value
 * @returns {value is Tensor}
 */
export function isTensor(value) {
  return typeof value === 'object' && value !== null && 'shape' in value && 'data' in value;
}

/**
 * Checks feeds against a model's inputs: names, element types, ranks, fixed dimensions, equal symbols.
 * @param {readonly TensorInfo[]} inputs
 * @param {Record<string, Tensor>} feeds
 * @throws {InPageError} invalid_input, naming every input and dimension that does not fit
 */
export function checkFeeds(inputs, feeds) {
  checkNames(inputs, feeds);
  /** @type {string[]} */
  const problems = [];
  /** @type {Map<string, {size: number, at: string}>} where each symbol got its size */
  const symbols = new Map();
  for (const input of inputs) {
    const problem = feedProblem(input, feeds[input.name], symbols);
    if (problem) problems.push(problem);
  }
  if (problems.length) {
    throw new InPageError('invalid_input', problems.join(', '), { hint: `the model takes ${describe(inputs)}` });
  }
}

/**
 * Refuses feeds whose names are not exactly the model's inputs.
 * @param {readonly TensorInfo[]} inputs
 * @param {unknown} feeds
 * @throws {InPageError} invalid_input
 */
export function checkNames(inputs, feeds) {
  if (typeof feeds !== 'object' || feeds === null || Array.isArray(feeds)) {
    throw new InPageError('invalid_input', 'run() takes an object of feeds by input name', {
      hint: `the model takes ${describe(inputs)}`,
    });
  }
  const names = new Set(inputs.map((input) => input.name));
  const missing = [...names].filter((name) => !Object.hasOwn(feeds, name)).map((name) => `no feed for input "${name}"`);
  const unknown = Object.keys(feeds).filter((name) => !names.has(name)).map((name) => `no input is named "${name}"`);
  if (missing.length + unknown.length) {
    throw new InPageError('invalid_input', [...missing, ...unknown].join(', '), {
      hint: `the model takes ${describe(inputs)}`,
    });
  }
}

/**
 * What is wrong with one feed, or '' when it fits.
 * @param {TensorInfo} input
 * @param {unknown} feed
 * @param {Map<string, {size: number, at: string}>} symbols sizes met so far; extended
 * @returns {string}
 */
function feedProblem({ name, shape: wanted, dtype }, feed, symbols) {
  if (!isTensor(feed)) return `input "${name}" is not a tensor {data, shape}`;
  const { data, shape } = feed;
  if (!Array.isArray(shape) || !shape.every((dim) => Number.isSafeInteger(dim) && dim > 0)) {
    return `input "${name}" has the shape ${JSON.stringify(shape)}, which is not a list of positive integers`;
  }
  const known = DTYPES[dtype];
  const fits = data instanceof known.array || (known.array === Uint8Array && data instanceof Uint8ClampedArray);
  if (!fits) return `input "${name}" is ${dtype}: its data is a ${known.array.name}, not ${kindOf(data)}`;
  if (shape.length !== wanted.length) {
    return `input "${name}" has rank ${wanted.length} ${showShape(wanted)}, not ${shape.length} ${showShape(shape)}`;
  }
  for (let axis = 0; axis < shape.length; axis++) {
    const problem = dimensionProblem(name, axis, wanted[axis], shape[axis], symbols);
    if (problem) return problem;
  }
  if (data.length !== sizeOf(shape)) {
    return `input "${name}" has ${data.length} values where its shape ${showShape(shape)} needs ${sizeOf(shape)}`;
  }
  return '';
}

/**
 * @param {string} name @param {number} axis @param {Dimension} wanted @param {number} size
 * @param {Map<string, {size: number, at: string}>} symbols
 * @returns {string}
 */
function dimensionProblem(name, axis, wanted, size, symbols) {
  if (isFree(wanted)) return '';
  if (typeof wanted === 'number') {
    return wanted === size ? '' : `dimension ${axis} of input "${name}" is ${wanted}, not ${size}`;
  }
  const met = symbols.get(wanted);
  if (!met) {
    symbols.set(wanted, { size, at: `dimension ${axis} of input "${name}"` });
  } else if (met.size !== size) {
    return `dimension ${axis} of input "${name}" is ${size} but must equal ${met.at}, which is ${met.size}`;
  }
  return '';
}

/** @param {readonly Dimension[]} shape */
const showShape = (shape) => `[${shape.join(', ')}]`;

/** @param {readonly TensorInfo[]} inputs @returns {string} */
function describe(inputs) {
  return inputs.map(({ name, dtype, shape }) => `"${name}": ${dtype} ${showShape(shape)}`).join(', ') || 'no inputs';
}

/** @param {unknown} value @returns {string} */
function kindOf(value) {
  if (value === null || typeof value !== 'object') return value === null ? 'null' : `a ${typeof value}`;
  return `a ${value.constructor?.name ?? 'object'}`;
}

/** Arrays of float16, where there are any: the browser widens them twice as fast. @type {any} */
export const Half = /** @type {any} */ (globalThis).Float16Array;

/** Whether a weight is kept in float16; to read, it is as one in float32. @param {ArrayBufferView} data @returns {data is Float32Array} */
export const isHalf = (data) => Boolean(Half) && data instanceof Half;
