// conv2d and conv2d_transpose: Input [N,C,H,W] or [N,H,W,C], any kernel, stride, padding, dilation and groups.
import { FUSE_ATTRS, checkFused } from '../activation.js';
import { FLOAT } from '../dtype.js';
import { channelsLast, checkLayout, ShapeError } from '../node.js';

/** @typedef {import('../node.js').OpNode} OpNode */
/**
 * @typedef {object} Window the numbers of one convolution
 * @property {number} N @property {number} C input channels @property {number} H @property {number} W
 * @property {number} O output channels @property {number} OH @property {number} OW
 * @property {number} kh @property {number} kw @property {number} sh @property {number} sw
 * @property {number} dh @property {number} dw @property {number} groups
 * @property {number} top @property {number} bottom @property {number} left @property {number} right
 * @property {boolean} last whether channels come last in memory
 */

const ATTRS = ['strides', 'paddings', 'padding_algorithm', 'dilations', 'groups', 'data_format', ...FUSE_ATTRS];

/**
 * Padding before and after along one axis; SAME shares an odd remainder towards the end.
 * @param {string} algorithm @param {number} size @param {number} kernel @param {number} stride @param {number[]} pads
 * @returns {number[]}
 */
export function padding(algorithm, size, kernel, stride, pads) {
  if (algorithm === 'VALID') return [0, 0];
  if (algorithm !== 'SAME') return pads;
  const total = Math.max((Math.ceil(size / stride) - 1) * stride + kernel - size, 0);
  return [total >> 1, total - (total >> 1)];
}

/** @param {{attrs: Record<string, any>}} op */
function check(op) {
  const { padding_algorithm: algorithm, paddings, data_format: layout } = op.attrs;
  if (!['EXPLICIT', 'SAME', 'VALID'].includes(algorithm)) return `padding_algorithm ${JSON.stringify(algorithm)}`;
  if (paddings.length !== 4 || paddings.some((/** @type {number} */ p) => p < 0)) return `paddings [${paddings}]`;
  return checkLayout(layout) || checkFused(op);
}

/**
 * What conv2d and conv2d_transpose share; O, OH and OW are left to them.
 * @param {OpNode} node
 * @returns {Window}
 */
function geometry(node) {
  const { strides, paddings, padding_algorithm: algorithm, dilations, groups, data_format: layout } = node.attrs;
  const x = node.x('Input').shape, w = node.x('Filter').shape;
  if (x.length !== 4 || w.length !== 4) throw new ShapeError(`it takes 4-D tensors, not [${x}] with a filter [${w}]`);
  const last = channelsLast(layout);
  const [N, C, H, W] = last ? [x[0], x[3], x[1], x[2]] : x;
  const [kh, kw] = w.slice(2), [sh, sw] = strides;
  const [top, bottom] = padding(algorithm, H, kh, sh, paddings.slice(0, 2));
  const [left, right] = padding(algorithm, W, kw, sw, paddings.slice(2));
  const [dh, dw] = algorithm === 'SAME' ? [1, 1] : dilations; // as Paddle does
  return { N, C, H, W, O: 0, OH: 0, OW: 0, kh, kw, sh, sw, dh, dw, groups, top, bottom, left, right, last };
}

/** @param {OpNode} node @returns {Window} */
export function convWindow(node) {
  const g = geometry(node), w = node.x('Filter').shape;
  if (g.C !== w[1] * g.groups || w[0] % g.groups) {
    throw new ShapeError(`${g.C} input channels do not fit a filter [${w}] with ${g.groups} groups`);
  }
  return convGeometry({ ...g, O: w[0] });
}

/** Output size of a convolution, and its padding with what lies past it. @param {Window} g @returns {Window} */
export function convGeometry(g) {
  const bottom = g.bottom + overhang(g.H + g.top + g.bottom - g.dh * (g.kh - 1) - 1, g.sh);
  const right = g.right + overhang(g.W + g.left + g.right - g.dw * (g.kw - 1) - 1, g.sw);
  const OH = Math.floor((g.H + g.top + bottom - g.dh * (g.kh - 1) - 1) / g.sh) + 1;
  const OW = Math.floor((g.W + g.left + right - g.dw * (g.kw - 1) - 1) / g.sw) + 1;
  return checked({ ...g, bottom, right, OH, OW });
}

/**
 * Zeros that Paddle reads past the padding: it divides towards zero, so that an axis too small by less than one stride
 * still gets a window.
 * @param {number} room pixels left over beside one window @param {number} stride
 */
const overhang = (room, stride) => (room < 0 && room > -stride ? -room : 0);

/** @param {OpNode} node @returns {Window} */
export function transposeWindow(node) {
  const g = geometry(node), w = node.x('Filter').shape;
  const { output_size: wanted, output_padding: extra } = node.attrs;
  if (g.C !== w[0] || g.C % g.groups) {
    throw new ShapeError(`${g.C} input channels do not fit a filter [${w}] with ${g.groups} groups`);
  }
  const OH = wanted[0] ?? (g.H - 1) * g.sh - g.top - g.bottom + g.dh * (g.kh - 1) + 1 + (extra[0] ?? 0);
  const OW = wanted[1] ?? (g.W - 1) * g.sw - g.left - g.right + g.dw * (g.kw - 1) + 1 + (extra[1] ?? 0);
  return checked({ ...g, O: w[1] * g.groups, OH, OW });
}

/** @param {Window} g @returns {Window} */
function checked(g) {
  if (g.OH < 1 || g.OW < 1) throw new ShapeError(`a ${g.kh}x${g.kw} window does not fit into ${g.H}x${g.W} pixels`);
  return g;
}

/** @param {(node: OpNode) => Window} window @returns {(node: OpNode) => import('../node.js').Info[]} */
const shapeBy = (window) => (node) => {
  const { N, O, OH, OW, last } = window(node);
  return [{ shape: last ? [N, OH, OW, O] : [N, O, OH, OW], dtype: 'float32' }];
};

/** @type {Record<string, import('../node.js').Rule>} */
export const rules = {
  conv2d: {
    attrs: ATTRS,
    types: { Input: FLOAT, Filter: FLOAT, 'Bias?': FLOAT, 'ResidualData?': FLOAT },
    check,
    shape: (node) => {
      const out = shapeBy(convWindow)(node), residual = node.maybe('ResidualData');
      if (residual && residual.shape.join() !== out[0].shape.join()) {
        throw new ShapeError(`ResidualData is [${residual.shape}], the result [${out[0].shape}]`);
      }
      return out;
    },
  },
  conv2d_transpose: {
    attrs: [...ATTRS, 'output_padding', 'output_size'],
    types: { Input: FLOAT, Filter: FLOAT, 'Bias?': FLOAT },
    check,
    shape: shapeBy(transposeWindow),
  },
};
