// pool2d: X [N,C,H,W] or [N,H,W,C]; max or average over windows, the whole plane, or adaptive bins, whose number may
// be computed from shapes (KsizeTensor [2]).
import { padding } from '../conv/index.js';
import { FLOAT, INTEGER } from '../dtype.js';
import { channelsLast, checkLayout, ShapeError } from '../node.js';

/** @typedef {import('../node.js').OpNode} OpNode */
/** @typedef {{start: number, stop: number, area: number}} Span a window along one axis, and what its sum is divided by */

const MAX_WINDOWS = 2 ** 20; // along one axis; the tables are made before anybody asks for the memory of the result

/** @param {number} windows */
function checkCount(windows) {
  if (!(windows >= 1 && windows <= MAX_WINDOWS)) throw new ShapeError(`${windows} windows along one axis cannot be`);
}

/** @param {number} size @param {number} bins @returns {Span[]} */
function adaptiveSpans(size, bins) {
  checkCount(bins);
  return Array.from({ length: bins }, (_, i) => {
    const start = Math.floor(i * size / bins), stop = Math.ceil((i + 1) * size / bins);
    return { start, stop, area: stop - start };
  });
}

/**
 * @param {number} size @param {number} kernel @param {number} stride @param {number[]} pads
 * @param {{ceil_mode?: boolean, exclusive?: boolean}} attrs
 * @returns {Span[]}
 */
function windowSpans(size, kernel, stride, pads, { ceil_mode: ceil, exclusive }) {
  const room = size + pads[0] + pads[1] - kernel;
  // Paddle divides towards zero: an axis too small by less than one stride still gets a window, cut to the input.
  const windows = Math.trunc((ceil ? room + stride - 1 : room) / stride) + 1;
  if (windows < 1) throw new ShapeError(`a window of ${kernel} does not fit into ${size} pixels`);
  checkCount(windows);
  return Array.from({ length: windows }, (_, i) => {
    const from = i * stride - pads[0], to = Math.min(from + kernel, size + pads[0]);
    const start = Math.max(from, 0), stop = Math.min(to, size);
    if (stop <= start) throw new ShapeError(`pooling window ${i} lies outside ${size} pixels`);
    return { start, stop, area: exclusive ? stop - start : to - from };
  });
}

/**
 * The windows of both axes, and the planes they run over.
 * @param {OpNode} node
 */
export function poolWindow(node) {
  const { shape } = node.x(), { attrs } = node;
  if (shape.length !== 4) throw new ShapeError(`it takes a 4-D tensor, not [${shape}]`);
  const last = channelsLast(attrs.data_format);
  const [N, C, H, W] = last ? [shape[0], shape[3], shape[1], shape[2]] : shape;
  const ksize = node.integers(attrs.ksize, 'KsizeTensor');
  /** @param {number} axis @param {number} size */
  const spans = (axis, size) => {
    if (attrs.global_pooling || attrs.adaptive) return adaptiveSpans(size, attrs.global_pooling ? 1 : ksize[axis]);
    const kernel = ksize[axis], stride = attrs.strides[axis];
    const pads = padding(attrs.padding_algorithm, size, kernel, stride, attrs.paddings.slice(2 * axis, 2 * axis + 2));
    return windowSpans(size, kernel, stride, pads, attrs);
  };
  return { N, C, H, W, rows: spans(0, H), columns: spans(1, W), last };
}

/** @param {{attrs: Record<string, any>}} op */
function check({ attrs }) {
  if (!['max', 'avg'].includes(attrs.pooling_type)) return `pooling_type ${JSON.stringify(attrs.pooling_type)}`;
  if (!['EXPLICIT', 'SAME', 'VALID'].includes(attrs.padding_algorithm)) return `padding_algorithm ${JSON.stringify(attrs.padding_algorithm)}`;
  if (attrs.paddings.length !== 4) return `paddings [${attrs.paddings}]`;
  return checkLayout(attrs.data_format);
}

/** @type {Record<string, import('../node.js').Rule>} */
export const rules = {
  pool2d: {
    attrs: [
      'pooling_type', 'ksize', 'strides', 'paddings', 'ceil_mode', 'exclusive', 'adaptive', 'global_pooling',
      'padding_algorithm', 'data_format',
    ],
    types: { X: FLOAT, 'KsizeTensor?': INTEGER },
    check,
    shape: (node) => {
      const { N, C, rows, columns, last } = poolWindow(node);
      return [{ shape: last ? [N, rows.length, columns.length, C] : [N, C, rows.length, columns.length], dtype: 'float32' }];
    },
  },
};
