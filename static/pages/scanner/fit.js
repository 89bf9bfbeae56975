// Where a picture lies inside a box: CSS object-fit with the default object-position, both ways.

/** @typedef {import('./quad.js').Point} Point */
/** @typedef {import('./quad.js').Size} Size */
/**
 * A picture's place: its top-left corner and size in box pixels, and box pixels per source pixel.
 * @typedef {{left: number, top: number, width: number, height: number, scaleX: number, scaleY: number}} Place
 */

/** @type {Record<string, (x: number, y: number) => [number, number]>} scale per axis that fills each axis → used scale */
const FITS = {
  'contain': (x, y) => [Math.min(x, y), Math.min(x, y)],
  'cover': (x, y) => [Math.max(x, y), Math.max(x, y)],
  'fill': (x, y) => [x, y],
  'none': () => [1, 1],
  'scale-down': (x, y) => [Math.min(x, y, 1), Math.min(x, y, 1)],
};

/**
 * @param {Size} source size of the picture or video, in its own pixels
 * @param {Size} box size of the element, in CSS pixels
 * @param {string} [fit] a CSS object-fit keyword
 * @returns {Place}
 */
export function placeFit(source, box, fit = 'contain') {
  const rule = FITS[fit];
  if (!rule) throw new RangeError(`no object-fit called "${fit}"`);
  const [scaleX, scaleY] = rule(box.width / source.width, box.height / source.height);
  const [width, height] = [source.width * scaleX, source.height * scaleY];
  return { left: (box.width - width) / 2, top: (box.height - height) / 2, width, height, scaleX, scaleY };
}

/**
 * @param {Place} place
 * @param {Point} point in source pixels
 * @returns {Point} in box pixels
 */
export function toBox(place, [x, y]) {
  return [place.left + x * place.scaleX, place.top + y * place.scaleY];
}

/**
 * @param {Place} place
 * @param {Point} point in box pixels
 * @returns {Point} in source pixels
 */
export function toSource(place, [x, y]) {
  return [(x - place.left) / place.scaleX, (y - place.top) / place.scaleY];
}
