// What GPU backends see of a model: values, steps and segments, all plain data. The vocabulary is small on purpose.
import { count } from '../ops/node.js';

/**
 * @typedef {'c4'|'linear'} Layout linear: row-major, four neighbouring elements per texel. c4, rank 4 [N,C,H,W] only:
 *   texels [N][ceil(C / 4)][H][W], each with four channels; lanes past C hold finite numbers that nobody may rely on
 */
/**
 * @typedef {object} GpuValue a float32 tensor of one plan
 * @property {number} id distinct within the plan
 * @property {string} name
 * @property {number[]} shape
 * @property {Layout} layout
 * @property {(() => Float32Array)|null} data its elements, row-major, where it is a constant
 * @property {string} key of a constant: the same in all plans of a model; '' where it is this plan's alone
 * @property {GpuValue|null} of the value whose texels it shares, all of them, in the same order
 * @property {number} first step that writes it, counted over the whole plan; -1: an upload or a constant
 * @property {number} last step that reads it; Infinity: read back
 */
/** @typedef {{kind: string, alpha: number, beta: number, gamma: number}} Act a function of one element by its name in
 *   ops/activation.js or ops/unary/index.js (the rare ones) */
/**
 * @typedef {{fn: 'act', act: Act}
 *   | {fn: 'binary', op: string, with: number, swap: boolean, strides: number[]}} Tail one elementwise operation on the
 *   result v of a step: act(v), or `v op x[with]` (`x[with] op v` where swapped); strides: of the operand in its logical
 *   elements per dimension of the result, 0 where it repeats
 */
/**
 * @typedef {object} Move elements of x[x] that go to the result: y[toAt + i·ds] = x[fromAt + i·ss], i below dims, in
 *   logical row-major elements; ds falls, and every loop stays within one step of the loop before it
 * @property {number} x
 * @property {number[]} dims @property {number[]} ss @property {number[]} ds
 * @property {number} fromAt @property {number} toAt
 */
/**
 * @typedef {object} Common of all steps
 * @property {string} where the operator, for messages and profiles
 * @property {GpuValue[]} x what it reads: the main operand first, then others, those of its tail included
 * @property {GpuValue} y what it writes
 * @property {Tail[]} tail applied to every element before it is written
 * @property {number} flops
 */
/** @typedef {import('../ops/conv/index.js').Window} Window */
/** @typedef {import('../ops/pool/index.js').Span} Span */
/** @typedef {Common & {kind: 'conv'|'deconv', g: Window, w: GpuValue, bias: GpuValue|null}} ConvStep x[0], y: c4; w: the
 *   operator's filter, row-major as in the model ([O,C/g,kh,kw]; of a deconv [C,O/g,kh,kw]); bias [O] */
/** @typedef {Common & {kind: 'pool', type: 'max'|'avg', N: number, C: number, H: number, W: number, rows: Span[],
 *   columns: Span[]}} PoolStep c4 */
/** @typedef {{at: Int32Array, weight: Float32Array, taps: number}} ResizeAxis `taps` positions and weights per output */
/** @typedef {Common & {kind: 'resize', rows: ResizeAxis, columns: ResizeAxis}} ResizeStep c4; separable */
/** @typedef {Common & {kind: 'map', strides: number[]}} MapStep y = tail(x[0]), x[0] read through strides; any layout */
/** @typedef {Common & {kind: 'move', moves: Move[], view: boolean}} MoveStep a later move wins over an earlier one; all of
 *   y is written; any layouts. view: y has x[0]'s elements in the same row-major order */
/** @typedef {Common & {kind: 'matmul', M: number, N: number, K: number, at: Int32Array, bt: Int32Array, am: number,
 *   ak: number, bk: number, bn: number}} MatmulStep linear; per batch b: y[b][m][n] = sum over k of
 *   x[0][at[b] + m·am + k·ak] * x[1][bt[b] + k·bk + n·bn] */
/** @typedef {Common & {kind: 'softmax', outer: number, n: number, inner: number, log: boolean}} SoftmaxStep linear */
/** @typedef {Common & {kind: 'reduce', outer: number, n: number, inner: number, op: 'sum'|'max'|'min'|'prod',
 *   scale: number}} ReduceStep linear; y = scale * op over the middle of [outer][n][inner] */
/** @typedef {Common & {kind: 'norm', rows: number, n: number, epsilon: number}} NormStep linear; every row of n elements to
 *   mean 0 and variance 1; scale and bias are its tail */
/** @typedef {ConvStep|PoolStep|ResizeStep|MapStep|MoveStep|MatmulStep|SoftmaxStep|ReduceStep|NormStep} Step */
/**
 * @typedef {object} GpuSegment
 * @property {'gpu'} on
 * @property {Step[]} steps
 * @property {GpuValue[]} uploads linear; written by the host before the first step
 * @property {GpuValue[]} downloads linear; read back after the last step
 */
/** @typedef {import('../plan_stages.js').Stage} Stage */
/** @typedef {{on: 'wasm', stage: Stage}} WasmSegment */
/**
 * @typedef {object} GpuPlan plain data: what to do for one set of input shapes
 * @property {(GpuSegment|WasmSegment)[]} segments in order
 * @property {GpuValue[]} values all that steps read or write; constants too
 * @property {{name: string, shape: number[], dtype: string, data: import('../ops/dtype.js').Elements}[]} known outputs
 *   and inputs of WASM segments whose elements follow from shapes
 */
/** @typedef {any} Prepared whatever a backend makes of a plan */
/** @typedef {{width: number, height: number, close: () => void}} Captured a picture on the device; close: it is not needed */
/** @typedef {Float32Array|{picture: Captured, spec: import('../preprocess.js').PreprocessSpec}} Feed what is uploaded: numbers,
 *   or a picture that the device makes into numbers */
/**
 * @typedef {object} Backend a GPU with its programs and memory; belongs to one model
 * @property {'webgpu'|'webgl'} name
 * @property {string} [driver] what tells one driver from another
 * @property {'float32'|'float16'} precision of activations and weights; sums are float32
 * @property {number} maxInputs values that one step may read, its weights aside
 * @property {(step: Step) => string} supports why this device cannot run a step (sizes, limits), or ''
 * @property {(plan: GpuPlan) => Promise<Prepared>} prepare compiles, uploads constants, allocates
 * @property {(prepared: Prepared, segment: number, feeds: any[]) => Promise<Float32Array[]>} run one segment:
 *   uploads (Feed: pictures only where there is `capture`) in their order, one submit, fresh downloads in their order. May
 *   be called again before it has answered
 * @property {(prepared: Prepared) => void} release frees what the plan alone holds
 * @property {() => {bytes: number}} memory on the device
 * @property {Promise<string>} lost settles with the reason when the device is gone
 * @property {() => void} dispose
 * @property {(prepared: Prepared, segment: number, feeds: any[]) => Promise<StepTime[]>} [profile]
 * @property {(source: any, size: {width: number, height: number}) => Captured|null} [capture] what a picture shows now
 */
/** @typedef {{where: string, kind: string, ms: number, bytes: number, flops: number}} StepTime */

/** @param {GpuValue|{shape: number[], layout: Layout}} value @returns {number} groups of four elements in memory */
export function texels({ shape, layout }) {
  if (layout === 'linear') return Math.ceil(count(shape) / 4);
  const [N, C, H, W] = shape;
  return N * Math.ceil(C / 4) * H * W;
}

/** Whether c4 and linear put the elements of this shape at the same places. @param {readonly number[]} shape */
export function layoutsAgree(shape) {
  if (shape.length !== 4) return false;
  const [N, C, H, W] = shape;
  return H * W === 1 && (N === 1 || C % 4 === 0);
}

/** The value that owns the memory. @param {GpuValue} value @returns {GpuValue} */
export function owner(value) {
  let at = value;
  while (at.of) at = at.of;
  return at;
}

/**
 * How an operand of a tail lies beside the result, from the cheapest to read to the dearest:
 * - same: the same texel
 * - scalar: one number
 * - channel: c4 result; texel (n·ns + c4) of an operand that holds four channels per texel, ns 0 or ceil(C / 4)
 * - row: linear result; texel (t mod n) of an operand that repeats every n texels
 * - strided: element by element
 * @param {Step} step @param {Tail & {fn: 'binary'}} tail
 * @returns {{mode: 'same'|'scalar'|'channel'|'row'|'strided', n: number}} n: texels per image (channel), or in all (row)
 */
export function operandMode({ x, y }, tail) {
  const operand = x[tail.with], { strides } = tail, { shape } = y, size = count(operand.shape);
  if (size === 1) return { mode: 'scalar', n: 1 };
  if (operand.layout === y.layout && size === count(shape) && isFull(strides, shape)) return { mode: 'same', n: 1 };
  if (y.layout === 'c4') {
    const [N, C, H, W] = shape, [n, c, h, w] = strides, packed = Math.ceil(C / 4);
    const plain = (c === 1 || C === 1) && (h === 0 || H === 1) && (w === 0 || W === 1);
    const grouped = operand.layout === 'c4' || C % 4 === 0 || N === 1 || n === 0;
    if (plain && grouped && (n === 0 || N === 1)) return { mode: 'channel', n: 0 };
    if (plain && grouped && n === C) return { mode: 'channel', n: packed };
    return { mode: 'strided', n: 1 };
  }
  // trailing dimensions run on, the leading ones repeat
  const first = strides.findIndex((s, i) => s !== 0 && shape[i] > 1), tailShape = shape.slice(first);
  if (operand.layout === 'linear' && size % 4 === 0 && count(tailShape) === size && isFull(strides.slice(first), tailShape)) {
    return { mode: 'row', n: size / 4 };
  }
  return { mode: 'strided', n: 1 };
}

/** Whether strides visit all elements of a shape in order. @param {readonly number[]} strides @param {readonly number[]} shape */
export function isFull(strides, shape) {
  for (let i = shape.length - 1, n = 1; i >= 0; n *= shape[i--]) if (shape[i] > 1 && strides[i] !== n) return false;
  return true;
}
