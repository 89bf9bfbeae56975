// Operator cases as graphs of one operator, for any backend; loads in pages as well as in Node.
import { elements } from '../../static/runtime/ops/dtype.js';

/** @typedef {{dtype: string, shape: number[], data: (number|string)[]}} CaseTensor */
/** @typedef {{name: string, op: string, inputs: Record<string, CaseTensor[]>, const: string[], attrs: Record<string, any>,
 *   outputs: Record<string, CaseTensor[]>, tol: number}} Case */
/** @typedef {import('../../static/runtime/plan.js').Graph} Graph */
/** @typedef {import('../../static/runtime/plan.js').Weights} Weights */
/** @typedef {import('../../static/runtime/tensor.js').Tensor} Tensor */

/** The cases of a file; integers past 2^53 stay exact as text. @param {string} text @returns {Case[]} */
export const parseCases = (text) => JSON.parse(text.replace(/(?<=[[,:]\s*)-?\d{16,}(?=\s*[\],}])/g, '"$&"'));

const SPECIAL = /** @type {Record<string, number>} */ ({ inf: Infinity, '-inf': -Infinity, nan: NaN });

/** JSON's spelling of a float32. @param {number|string} value @returns {number} */
export const number = (value) => Math.fround(typeof value === 'string' ? SPECIAL[value] : value);

/** @param {CaseTensor} tensor @returns {Tensor} */
export function tensorOf({ dtype, shape, data }) {
  if (dtype === 'int64') return { data: BigInt64Array.from(data, (value) => BigInt(value)), shape };
  return { data: elements(dtype === 'float32' ? data.map(number) : data.map(Number), dtype), shape };
}

/**
 * A graph of one operator: slots in `const` are weights, the others feeds.
 * @param {Case} test
 * @returns {{graph: Graph, weights: Weights, feeds: Record<string, Tensor>}}
 */
export function graphOf(test) {
  /** @type {Graph} */
  const graph = { vars: new Map(), ops: [], inputs: [], outputs: [] };
  /** @type {Weights} */
  const weights = new Map();
  /** @type {Record<string, Tensor>} */
  const feeds = {};
  /** @param {Record<string, CaseTensor[]>} slots @param {(name: string, slot: string, tensor: CaseTensor) => void} add */
  const declare = (slots, add) => Object.fromEntries(Object.entries(slots).map(([slot, tensors]) => [slot, tensors.map((tensor, i) => {
    const name = `${slot}_${i}`, { shape, dtype } = tensor;
    graph.vars.set(name, { name, shape, dtype, persistable: test.const.includes(slot) });
    add(name, slot, tensor);
    return name;
  })]));
  const inputs = declare(test.inputs, (name, slot, tensor) => {
    const { data, shape } = tensorOf(tensor);
    if (test.const.includes(slot)) weights.set(name, /** @type {any} */ (data));
    else {
      graph.inputs.push({ name, shape, dtype: tensor.dtype });
      feeds[name] = { data, shape };
    }
  });
  const outputs = declare(test.outputs, (name, _, { shape, dtype }) => graph.outputs.push({ name, shape, dtype }));
  graph.ops.push({ type: test.op, inputs, outputs, attrs: revive(test.attrs) });
  return { graph, weights, feeds };
}

/** @param {Record<string, any>} attrs */
function revive(attrs) {
  const one = (/** @type {any} */ value) => (Object.hasOwn(SPECIAL, value) ? SPECIAL[value] : value);
  return Object.fromEntries(Object.entries(attrs).map(([key, value]) => [key, Array.isArray(value) ? value.map(one) : one(value)]));
}

/**
 * How far a result is from a case's, as a share of max(1, range of the finite expected values); Infinity where a shape, an
 * integer, a NaN or an infinity is another.
 * @param {Tensor} actual @param {CaseTensor} expected @returns {number}
 */
export function deviation(actual, expected) {
  if (actual.shape.join() !== expected.shape.join() || actual.data.length !== expected.data.length) return Infinity;
  if (expected.dtype !== 'float32') {
    const wanted = tensorOf(expected).data;
    return Array.from(actual.data, String).every((text, i) => text === String(wanted[i])) ? 0 : Infinity;
  }
  const wanted = expected.data.map(number), finite = wanted.filter(Number.isFinite);
  const range = finite.reduce((top, v) => Math.max(top, v), -Infinity) - finite.reduce((low, v) => Math.min(low, v), Infinity);
  return wanted.reduce((worst, want, i) => {
    const got = Number(actual.data[i]), same = got === want || (Number.isNaN(got) && Number.isNaN(want));
    return Math.max(worst, same ? 0 : Number.isFinite(got - want) ? Math.abs(got - want) : Infinity);
  }, 0) / Math.max(1, finite.length ? range : 1);
}

/**
 * How far two runs of an engine are from a case, at worst.
 * @param {{run: (feeds: Record<string, Tensor>) => Promise<Record<string, Tensor>>}} engine
 * @param {Record<string, Tensor>} feeds @param {Case} item @returns {Promise<number>}
 */
export async function worstOfTwo(engine, feeds, item) {
  let worst = 0;
  for (let i = 0; i < 2; i++) {
    const out = await engine.run(feeds);
    for (const [slot, tensors] of Object.entries(item.outputs)) {
      tensors.forEach((expected, k) => { worst = Math.max(worst, deviation(out[`${slot}_${k}`], expected)); });
    }
  }
  return worst;
}
