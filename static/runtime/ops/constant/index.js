// Tensors that the plan knows: the shape of another one, and constants.
import { ANY, INTEGER, NUMBER, rounded } from '../dtype.js';
import { axisOf, count, known, ShapeError } from '../node.js';

/** @typedef {import('../node.js').OpNode} OpNode */

export const MAX_HOST = 4096; // larger ones are filled by a kernel
const MAX_MADE = 2 ** 20;

/** @param {{attrs: Record<string, any>}} op */
const checkType = ({ attrs }) => (ANY.includes(attrs.dtype) ? '' : `dtype ${attrs.dtype}`);

/** @param {OpNode} node @param {number[]} shape */
function filled(node, shape) {
  if (shape.some((size) => size < 1)) throw new ShapeError(`it cannot fill [${shape}]`);
  return [{ shape, dtype: node.attrs.dtype }];
}

/** @param {OpNode} node @returns {number[][]|null} */
function evaluateFill({ out, attrs }) {
  const n = count(out.shape);
  return n > MAX_HOST ? null : [new Array(n).fill(rounded(attrs.value, attrs.dtype))];
}

/** @param {OpNode} node @returns {number[]} */
function batchShape(node) {
  const { shape, input_dim_idx: from, output_dim_idx: to } = node.attrs, x = node.x('Input').shape, out = [...shape];
  out[axisOf(to, out.length)] = x[axisOf(from, x.length)];
  return out;
}

/** The elements from Start by Step before End, added up one after another as Paddle does. @param {OpNode} node @returns {number[]} */
function rangeValues(node) {
  const [start, end, step] = ['Start', 'End', 'Step'].map((slot) => known(node.x(slot))[0]), { dtype } = node.x('Start');
  const n = Math.ceil((end - start) / step);
  if (!(n >= 1 && n <= MAX_MADE)) throw new ShapeError(`it cannot count from ${start} to ${end} by ${step}`);
  let at = start;
  return Array.from({ length: n }, (_, i) => (at = i ? rounded(at + step, dtype) : start));
}

/** @param {OpNode} node @returns {number[]} */
function linspaceValues(node) {
  const [start, stop, num] = ['Start', 'Stop', 'Num'].map((slot) => known(node.x(slot))[0]), { dtype } = node.attrs;
  if (!(num >= 1 && num <= MAX_MADE)) throw new ShapeError(`it cannot make ${num} values`);
  return Array.from({ length: num }, (_, i) => rounded(num === 1 ? start : start + (stop - start) * i / (num - 1), dtype));
}

/** @type {Record<string, import('../node.js').Rule>} */
export const rules = {
  shape: {
    attrs: ['out_dtype'],
    types: { Input: ANY },
    takesEmpty: true,
    check: ({ attrs }) => (INTEGER.includes(attrs.out_dtype) ? '' : `out_dtype ${attrs.out_dtype}`),
    shape: (node) => [{ shape: [node.x('Input').shape.length], dtype: node.attrs.out_dtype }],
    needs: [],
    evaluate: (node) => [[...node.x('Input').shape]],
  },
  fill_constant: {
    attrs: ['shape', 'value', 'dtype'],
    types: { 'ShapeTensor?': INTEGER, 'ShapeTensorList?': INTEGER },
    check: checkType,
    shape: (node) => filled(node, [...node.integers(node.attrs.shape, 'ShapeTensor', 'ShapeTensorList')]),
    evaluate: evaluateFill,
  },
  fill_constant_batch_size_like: {
    attrs: ['shape', 'value', 'dtype', 'input_dim_idx', 'output_dim_idx'],
    types: { Input: ANY },
    takesEmpty: true,
    check: checkType,
    shape: (node) => filled(node, batchShape(node)),
    needs: [],
    evaluate: evaluateFill,
  },
  range: {
    attrs: [],
    types: { Start: NUMBER, End: NUMBER, Step: NUMBER },
    shape: (node) => [{ shape: [rangeValues(node).length], dtype: node.x('Start').dtype }],
    evaluate: (node) => [rangeValues(node)],
  },
  linspace: {
    attrs: ['dtype'],
    types: { Start: NUMBER, Stop: NUMBER, Num: INTEGER },
    check: checkType,
    shape: (node) => [{ shape: [linspaceValues(node).length], dtype: node.attrs.dtype }],
    evaluate: (node) => [linspaceValues(node)],
  },
  assign_value: {
    attrs: ['shape', 'dtype', 'values'],
    types: {},
    check: checkType,
    shape: (node) => {
      const { shape, dtype, values } = node.attrs;
      if (count(shape) !== values.length) throw new ShapeError(`${values.length} values do not fill [${shape}]`);
      return [{ shape: [...shape], dtype }];
    },
    evaluate: (node) => [node.attrs.values.map((/** @type {number} */ n) => rounded(Number(n), node.attrs.dtype))],
  },
};
