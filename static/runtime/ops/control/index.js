// Control flow, on the host: graphs inside operators, run as often as the data says, and lists that loops fill.
import { ANY, INTEGER } from '../dtype.js';
import { count, ShapeError, unplanned } from '../node.js';

/** @typedef {import('../node.js').HostTensor} HostTensor */

const MAX_STEPS = 100_000; // a loop that is longer is taken for one that does not end

/** @param {HostTensor} condition @returns {boolean} */
function truth({ data, shape }) {
  if (data.length !== 1) throw new ShapeError(`a condition is one element, not [${shape}]`);
  return Number(data[0]) !== 0;
}

/** What changes from round to round is not known when a plan is made. @param {HostTensor[]} tensors @returns {HostTensor[]} */
const fresh = (tensors) => tensors.map(({ data, shape, dtype }) => ({ data, shape, dtype }));

/**
 * Array [n, ...X] (without elements of any shape) with X at place I, or behind the last.
 * @param {import('../node.js').HostNode} node @returns {HostTensor[]}
 */
function writeToArray(node) {
  const x = node.x(), array = node.x('Array'), at = Number(node.x('I').data[0]), length = array.shape[0] ?? 0;
  if (!(at >= 0 && at <= length)) throw new ShapeError(`place ${at} is outside a list of ${length} elements`);
  const fresh = at === 0 && length <= 1, size = count(x.shape);
  if (!fresh && array.shape.slice(1).join() !== x.shape.join()) {
    throw new ShapeError(`an element [${x.shape}] differs from the list's, [${array.shape.slice(1)}]`);
  }
  const longer = Math.max(length, at + 1), data = /** @type {any} */ (new /** @type {any} */ (x.data).constructor(longer * size));
  if (!fresh) data.set(array.data);
  data.set(x.data, at * size);
  return [{ data, shape: [longer, ...x.shape], dtype: x.dtype }];
}

/** @type {Record<string, import('../node.js').Rule>} */
export const rules = {
  // While Condition holds: body(X) → the next Condition and the next values of the first of X, one per output.
  while: {
    attrs: ['body'],
    types: { Condition: ANY, 'X?': ANY },
    shape: unplanned,
    host: (node, run) => {
      const given = node.inputs.X ?? [], rest = given.slice(node.names.length);
      let carried = fresh(given.slice(0, node.names.length)), condition = node.x('Condition');
      for (let steps = 0; truth(condition); steps++) {
        if (steps === MAX_STEPS) throw new ShapeError(`the loop did not end within ${MAX_STEPS} steps`);
        const made = run(node.attrs.body, [...carried, ...rest]);
        [condition, ...carried] = fresh(made);
      }
      return carried;
    },
  },
  // then(X) where Condition holds, else otherwise(X).
  if: {
    attrs: ['then', 'otherwise'],
    types: { Condition: ANY, 'X?': ANY },
    shape: unplanned,
    host: (node, run) => run(truth(node.x('Condition')) ? node.attrs.then : node.attrs.otherwise, node.inputs.X ?? []),
  },
  write_to_array: { attrs: [], types: { X: ANY, I: INTEGER, Array: ANY }, shape: unplanned, host: writeToArray },
};
