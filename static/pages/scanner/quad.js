// Quadrilaterals as the corner editor handles them: moving corners and edges within limits.

/** @typedef {import('./vision/geometry.js').Point} Point x right, y down, in pixels of the source picture */
/** @typedef {import('./vision/geometry.js').Quad} Quad top left, top right, bottom right, bottom left */
/** @typedef {import('./vision/geometry.js').Size} Size */
/** @typedef {{left: number, top: number, right: number, bottom: number}} Limits how far a corner may go */

export const CORNER_NAMES = Object.freeze(['Top left', 'Top right', 'Bottom right', 'Bottom left']);
export const EDGE_NAMES = Object.freeze(['Top', 'Right', 'Bottom', 'Left']);

/**
 * @param {Size} size
 * @returns {Quad} the whole picture
 */
export function wholePicture({ width, height }) {
  return [[0, 0], [width, 0], [width, height], [0, height]];
}

/**
 * @param {Quad} corners
 * @returns {Quad} a copy that shares nothing
 */
export function copyQuad(corners) {
  return /** @type {Quad} */ (corners.map(([x, y]) => [x, y]));
}

/**
 * The same quadrilateral in a picture of another size.
 * @param {Quad} corners
 * @param {Size} from
 * @param {Size} to
 * @returns {Quad}
 */
export function rescale(corners, from, to) {
  return /** @type {Quad} */ (corners.map(([x, y]) => [x * to.width / from.width, y * to.height / from.height]));
}

/**
 * Where corners may go: the picture itself, widened to corners that were found outside it.
 * @param {Size} size
 * @param {Quad[]} quads
 * @returns {Limits}
 */
export function limitsFor({ width, height }, quads) {
  const xs = quads.flat().map(([x]) => x);
  const ys = quads.flat().map(([, y]) => y);
  return {
    left: Math.min(0, ...xs), top: Math.min(0, ...ys), right: Math.max(width, ...xs), bottom: Math.max(height, ...ys),
  };
}

/**
 * @param {Point} point
 * @param {Limits} limits
 * @returns {Point}
 */
export function clampPoint([x, y], { left, top, right, bottom }) {
  return [Math.min(right, Math.max(left, x)), Math.min(bottom, Math.max(top, y))];
}

/**
 * @param {Quad} corners
 * @param {number} index of the corner
 * @param {Point} to
 * @param {Limits} limits
 * @returns {Quad}
 */
export function moveCorner(corners, index, to, limits) {
  const moved = copyQuad(corners);
  moved[index] = clampPoint(to, limits);
  return moved;
}

/**
 * Moves both ends of an edge by the same step, as far as both may go.
 * @param {Quad} corners
 * @param {number} index of the edge: top, right, bottom, left
 * @param {Point} step
 * @param {Limits} limits
 * @returns {Quad}
 */
export function moveEdge(corners, index, [dx, dy], limits) {
  const ends = [index, (index + 1) % 4];
  for (const end of ends) {
    const [x, y] = corners[end];
    dx = Math.min(limits.right - x, Math.max(limits.left - x, dx));
    dy = Math.min(limits.bottom - y, Math.max(limits.top - y, dy));
  }
  const moved = copyQuad(corners);
  for (const end of ends) moved[end] = [corners[end][0] + dx, corners[end][1] + dy];
  return moved;
}

/**
 * @param {Quad} corners
 * @param {number} index of the edge: top, right, bottom, left
 * @returns {Point}
 */
export function edgeMiddle(corners, index) {
  const [a, b] = [corners[index], corners[(index + 1) % 4]];
  return [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
}

/**
 * The farthest that any corner moved.
 * @param {Quad} a
 * @param {Quad} b
 * @returns {number} pixels
 */
export function farthestMove(a, b) {
  return Math.max(...a.map(([x, y], i) => Math.hypot(x - b[i][0], y - b[i][1])));
}
