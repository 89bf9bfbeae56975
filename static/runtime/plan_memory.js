// The static memory plan: blocks that live at the same time do not overlap, the others share.

/**
 * @typedef {object} ArenaBlock
 * @property {'arena'} kind
 * @property {number} bytes
 * @property {string} key
 * @property {number} first node that writes it; -1 for inputs
 * @property {number} last node that reads it
 * @property {ArenaBlock|null} into the block whose memory it shares instead of having its own
 * @property {number} at its offset, once laid out
 */

export const ALIGN = 64;

/**
 * Gives every block an offset: the largest first, each at the lowest place that no block alive at the same time holds.
 * @param {ArenaBlock[]} blocks
 * @returns {number} bytes needed
 */
export function layOut(blocks) {
  /** @type {ArenaBlock[]} sorted by offset */
  const placed = [];
  let total = 0;
  for (const block of [...blocks].sort((p, q) => q.bytes - p.bytes || p.first - q.first)) {
    const size = Math.ceil(block.bytes / ALIGN) * ALIGN;
    let at = 0;
    for (const other of placed) {
      if (other.first > block.last || block.first > other.last) continue;
      if (other.at >= at + size) break;
      at = Math.max(at, Math.ceil((other.at + other.bytes) / ALIGN) * ALIGN);
    }
    block.at = at;
    placed.splice(placed.findIndex((other) => other.at > at) >>> 0, 0, block);
    total = Math.max(total, at + size);
  }
  return total;
}
