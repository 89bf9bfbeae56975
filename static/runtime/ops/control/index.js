// Control flow, on the host: graphs inside operators, run as often as the data says.
import { ANY } from '../dtype.js';
import { ShapeError, unplanned } from '../node.js';

/** @typedef {import('../node.js').HostTensor} HostTensor */

const MAX_STEPS = 100_000; // a loop that is longer is taken for one that does not end

/** @param {HostTensor} condition @returns {boolean} */
function truth({ data, shape }) {
  if (data.length !== 1) throw new ShapeError(`a condition is one element, not [${shape}]`);
  return Number(data[0]) !== 0;
}

/** What changes from round to round is not known when a plan is made. @param {HostTensor[]} tensors @returns {HostTensor[]} */
const fresh = (tensors) => tensors.map(({ data, shape, dtype }) => ({ data, shape, dtype }));

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
};
