// Operators on int8: q stands for scale * (q - zero point). Pictures have the channels last; sums are exact integers.
// converter/ops/quant.py says what each computes, number for number.
import { checkFused, FUSE_ATTRS } from '../activation.js';
import { FLOAT } from '../dtype.js';
import { convGeometry, padding } from '../conv/index.js';
import { count, like, OpNode, ShapeError } from '../node.js';
import { poolWindow } from '../pool/index.js';
import { resizeSizes } from '../resize/index.js';

/** @typedef {import('../conv/index.js').Window} Window */

const INT8 = ['int8'], WEIGHT = ['int8', 'int16'], SUM = ['int16', 'int32'];
const CHANNELS = ['scale_exponent', 'bias_exponent'];
const OUTPUT = ['out_zero', 'out_low', 'out_high'];

/** The kinds of requant.h. @type {Record<string, number>} */
export const ENDINGS = { '': 0, hard_swish: 1, leaky_relu: 2 };

/** @param {{attrs: Record<string, any>}} op */
function checkConv({ attrs }) {
  const { padding_algorithm: algorithm, paddings, fuse_activation: activation } = attrs;
  if (!['EXPLICIT', 'SAME', 'VALID'].includes(algorithm)) return `padding_algorithm ${JSON.stringify(algorithm)}`;
  if (paddings.length !== 4 || paddings.some((/** @type {number} */ p) => p < 0)) return `paddings [${paddings}]`;
  return Object.hasOwn(ENDINGS, activation) ? '' : `fused activation ${JSON.stringify(activation)}`;
}

/** @param {OpNode} node @returns {Window} */
export function int8Window(node) {
  const { strides, paddings, padding_algorithm: algorithm, dilations, groups, in_inverse: inverse } = node.attrs;
  const x = node.x('Input').shape, w = node.x('Filter').shape;
  if (x.length !== 4 || w.length !== 4) throw new ShapeError(`it takes 4-D tensors, not [${x}] with a filter [${w}]`);
  const [N, C, H, W] = inverse ? x : [x[0], x[3], x[1], x[2]];
  if (C !== w[3] * groups || w[0] % groups) throw new ShapeError(`${C} channels do not fit a filter [${w}] with ${groups} groups`);
  const [top, bottom] = padding(algorithm, H, w[1], strides[0], paddings.slice(0, 2));
  const [left, right] = padding(algorithm, W, w[2], strides[1], paddings.slice(2));
  const [dh, dw] = algorithm === 'SAME' ? [1, 1] : dilations;
  return convGeometry({
    N, C, H, W, O: w[0], OH: 0, OW: 0, kh: w[1], kw: w[2], sh: strides[0], sw: strides[1], dh, dw, groups, top, bottom, left, right,
    last: true,
  });
}

/** The same operator as the float family knows it. @param {OpNode} node @param {Record<string, any>} attrs @returns {OpNode} */
const asFloat = (node, attrs) => new OpNode({ type: node.type, attrs: { ...node.attrs, ...attrs }, outputs: { Out: node.names } }, node.inputs);

/** @param {OpNode} node */
export const int8Pool = (node) => poolWindow(asFloat(node, {
  pooling_type: 'max', exclusive: true, adaptive: false, global_pooling: false, data_format: 'NHWC',
}));

/** @param {OpNode} node */
export const int8Resize = (node) => resizeSizes(asFloat(node, { data_layout: 'NHWC' }));

/** @param {OpNode} node @returns {{M: number, O: number, K: number, lead: number[]}} */
export function int8Fc(node) {
  const x = node.x('Input').shape, [O, K] = node.x('W').shape, lead = x.slice(0, node.attrs.in_num_col_dims);
  if (count(x) !== count(lead) * K) throw new ShapeError(`rows of [${x}] do not fit a matrix [${O}, ${K}]`);
  return { M: count(lead), O, K, lead };
}

/** Where the channels go, or stay. @param {OpNode} node @returns {number[]} */
function relaid({ attrs, inputs: { X: [{ shape }] } }) {
  if (!attrs.channels_last && !attrs.channels_first) return shape;
  if (shape.length !== 4) throw new ShapeError(`it takes a 4-D tensor, not [${shape}]`);
  const [n, a, b, c] = shape;
  return attrs.channels_last ? [n, b, c, a] : [n, c, a, b];
}

/** @type {Record<string, import('../node.js').Rule>} */
export const rules = {
  quantize_linear: {
    attrs: ['inverse_scale', 'zero_point', 'low', 'high', 'channels_last'],
    types: { X: FLOAT },
    shape: (node) => [{ shape: relaid(node), dtype: 'int8' }],
  },
  dequantize_linear: {
    attrs: ['scale', 'zero_point', 'channels_first'],
    types: { X: INT8 },
    shape: (node) => [{ shape: relaid(node), dtype: 'float32' }],
  },
  conv2d_int8: {
    attrs: [
      'strides', 'paddings', 'padding_algorithm', 'dilations', 'groups', 'in_inverse', 'in_zero', 'in_low', 'in_high',
      'weight_limit', 'rows_limit', 'residual_scale', 'residual_zero', 'fuse_activation', 'fuse_alpha', 'out_factor', ...CHANNELS, ...OUTPUT,
    ],
    types: { Input: ['int8', 'float32'], Filter: WEIGHT, Scale: FLOAT, Bias: SUM, 'Residual?': INT8 },
    check: checkConv,
    shape: (node) => {
      const { N, OH, OW, O } = int8Window(node), residual = node.maybe('Residual');
      if ((node.x('Input').dtype === 'float32') !== (node.attrs.in_inverse !== 0)) throw new ShapeError('in_inverse does not fit its input');
      const shape = [N, OH, OW, O];
      if (residual && residual.shape.join() !== shape.join()) throw new ShapeError(`Residual is [${residual.shape}], the result [${shape}]`);
      return [{ shape, dtype: 'int8' }];
    },
  },
  fc_int8: {
    attrs: ['in_num_col_dims', 'in_inverse', 'in_low', 'in_high', ...CHANNELS, ...FUSE_ATTRS],
    types: { Input: FLOAT, W: WEIGHT, Scale: FLOAT, Bias: SUM },
    check: checkFused,
    shape: (node) => {
      const { lead, O } = int8Fc(node);
      return [{ shape: [...lead, O], dtype: 'float32' }];
    },
  },
  add_int8: {
    attrs: ['x_zero', 'x_scale', 'y_zero', 'y_scale', ...OUTPUT],
    types: { X: INT8, Y: INT8 },
    shape: (node) => {
      const x = node.x('X').shape, y = node.x('Y').shape;
      if (x.join() !== y.join()) throw new ShapeError(`[${x}] and [${y}] are not of one shape`);
      return [like(node.x('X'))];
    },
  },
  mul_int8: {
    attrs: ['x_zero', 'scale', ...OUTPUT],
    types: { X: INT8, Gate: FLOAT },
    shape: (node) => {
      const { shape } = node.x(), gate = node.x('Gate').shape;
      if (shape.length !== 4 || gate.join() !== [shape[0], shape[3], 1, 1].join()) throw new ShapeError(`a gate [${gate}] does not fit [${shape}]`);
      return [like(node.x())];
    },
  },
  max_pool_int8: {
    attrs: ['ksize', 'strides', 'paddings', 'ceil_mode', 'padding_algorithm'],
    types: { X: INT8 },
    shape: (node) => {
      const { N, C, rows, columns } = int8Pool(node);
      return [{ shape: [N, rows.length, columns.length, C], dtype: 'int8' }];
    },
  },
  mean_int8: {
    attrs: ['scale', 'zero_point'],
    types: { X: INT8 },
    shape: (node) => {
      const { shape } = node.x();
      if (shape.length !== 4) throw new ShapeError(`it takes a 4-D tensor, not [${shape}]`);
      return [{ shape: [shape[0], shape[3], 1, 1], dtype: 'float32' }];
    },
  },
  resize_int8: {
    attrs: ['out_h', 'out_w', 'scale', 'align_corners'],
    types: { X: INT8 },
    shape: (node) => [{ shape: int8Resize(node).shape, dtype: 'int8' }],
  },
};
