// Which operators run on the GPU and which on the host, in as few pieces as the order of values allows.

/** @typedef {'gpu'|'wasm'} Side */
/**
 * @typedef {object} Item an operator to place
 * @property {Side} on
 * @property {number[]} after items whose results it reads
 * @property {number} flops
 */
/** @typedef {{on: Side, items: number[]}} Piece items in an order in which they may run */

/** Work so small that two crossings cost more than the host needs for it. */
const SMALL_FLOPS = 2e6;

/**
 * Every item runs as early as its side's turn allows: all that can run on one side runs before the other has its turn.
 * @param {Item[]} items in an order in which they may run
 * @returns {Piece[]}
 */
export function split(items) {
  const best = shortest(items);
  const small = best.find(({ on, items: members }, i) => on === 'gpu' && i > 0 && i < best.length - 1
    && members.reduce((sum, at) => sum + items[at].flops, 0) < SMALL_FLOPS);
  if (!small) return best;
  const moved = new Set(small.items);
  return split(items.map((item, i) => (moved.has(i) ? { ...item, on: 'wasm' } : item)));
}

/** @param {Item[]} items @returns {Piece[]} */
function shortest(items) {
  const [gpu, wasm] = [pieces(items, 'gpu'), pieces(items, 'wasm')];
  return wasm.length < gpu.length ? wasm : gpu;
}

/** @param {Item[]} items @param {Side} first @returns {Piece[]} */
function pieces(items, first) {
  /** @type {Piece[]} */
  const out = [];
  const done = new Set();
  for (let side = first; done.size < items.length; side = side === 'gpu' ? 'wasm' : 'gpu') {
    /** @type {number[]} */
    const members = [];
    items.forEach(({ on, after }, i) => {
      if (on !== side || done.has(i) || !after.every((before) => done.has(before))) return;
      done.add(i);
      members.push(i);
    });
    if (members.length) out.push({ on: side, items: members });
  }
  return out;
}
