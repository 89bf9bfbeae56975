// The order that GCC's std::partial_sort gives, equal elements included: matrix_nms in Paddle shows it.

/** @typedef {(p: number, q: number) => boolean} Before whether p must stand before q */

/**
 * The first `size` items in order.
 * @param {number[]} items @param {number} size @param {Before} before
 * @returns {number[]}
 */
export function partialSort(items, size, before) {
  const heap = items.slice(0, size);
  for (let parent = (size >> 1) - 1; parent >= 0; parent--) sift(heap, parent, size, heap[parent], before);
  for (let i = size; size && i < items.length; i++) if (before(items[i], heap[0])) sift(heap, 0, size, items[i], before);
  for (let end = size - 1; end > 0; end--) {
    const last = heap[end];
    heap[end] = heap[0];
    sift(heap, 0, end, last, before);
  }
  return heap;
}

/**
 * Moves the hole to a leaf along the later children, then the value up from there.
 * @param {number[]} heap @param {number} top @param {number} size @param {number} value @param {Before} before
 */
function sift(heap, top, size, value, before) {
  let hole = top, child = 2 * hole + 2;
  for (; child < size; child = 2 * hole + 2) {
    if (before(heap[child], heap[child - 1])) child--;
    heap[hole] = heap[child];
    hole = child;
  }
  if (child === size) {
    heap[hole] = heap[child - 1];
    hole = child - 1;
  }
  for (let parent = (hole - 1) >> 1; hole > top && before(heap[parent], value); parent = (hole - 1) >> 1) {
    heap[hole] = heap[parent];
    hole = parent;
  }
  heap[hole] = value;
}
