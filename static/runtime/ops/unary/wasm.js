// Functions of one element → unary or special kernel (unary_i32, unary_i64 on integers), classify; cast.
import { actArgs } from '../activation.js';
import { CODE } from '../dtype.js';
import { count, stored } from '../node.js';
import { castAttrs, CLASSES, UNARY } from './index.js';

/** @type {import('../node.js').Lower} */
function unary(node, to) {
  const x = node.x(), y = node.out, n = stored(x), row = UNARY[node.type], act = row.act(castAttrs(node.attrs, x.dtype));
  to.inPlace(x, y);
  if (x.dtype === 'float32') {
    to.emit(row.rare ? 'special' : 'unary', [x, y, n, ...actArgs(act)], row.rare ? 0 : 8 * n);
  } else {
    // an open end of relu's range is the type's own end
    const [alpha, beta] = [act.alpha, act.beta].map((v) => (Number.isFinite(v) ? v : v > 0 ? 2 ** 31 - 1 : -(2 ** 31)));
    to.emit(x.dtype === 'int32' ? 'unary_i32' : 'unary_i64', [{ i64: alpha }, { i64: beta }, x, y, n, act.kind]);
  }
}

/** @type {Record<string, import('../node.js').Lower>} */
export const lower = {
  ...Object.fromEntries(Object.keys(UNARY).map((type) => [type, unary])),
  ...Object.fromEntries(Object.keys(CLASSES).map((type, kind) => [type, (node, to) => {
    to.emit('classify', [node.x(), node.out, count(node.x().shape), kind]);
  }])),
  logical_not(node, to) {
    to.inPlace(node.x(), node.out);
    to.emit('logical_not', [node.x(), node.out, count(node.x().shape)]);
  },
  cast: (node, to) => {
    const x = node.x(), y = node.out;
    to.emit('cast', [x, y, count(x.shape), CODE[x.dtype], CODE[y.dtype]]);
  },
};

/** @type {Record<string, import('../node.js').LayoutRule>} */
export const layouts = Object.fromEntries(Object.keys(UNARY).map((type) => [type, () => 'either']));
