// Constants too large to be kept with the plan → fill kernel. The others never reach a lowering.
import { BYTES, elements } from '../dtype.js';
import { count, UnsupportedError } from '../node.js';

/** @type {import('../node.js').Lower} */
function fill(node, to) {
  const { shape, dtype } = node.out;
  to.emit('fill', [to.data(elements([node.attrs.value], dtype)), node.out, count(shape), BYTES[dtype]]);
}

/** @type {import('../node.js').Lower} */
const never = () => {
  throw new UnsupportedError('its values must be known when the plan is made');
};

/** @type {Record<string, import('../node.js').Lower>} */
export const lower = {
  shape: never, fill_constant: fill, fill_constant_batch_size_like: fill, assign_value: never, range: never, linspace: never,
};
