// One axis of a resize as weights: out[i] = sum over k < count[i] of weight[…] * in[start[i] + k].

/** @typedef {'linear'|'area'|'nearest'} Interpolation */
/** @typedef {{start: Int32Array, count: Int32Array, weight: Float32Array}} Taps weights of the first output come first */

/**
 * The outputs [from, from + length) of an axis scaled from `size` to `scaled` pixels.
 * - linear: source position (i + 0.5) * size / scaled - 0.5, clamped to the edges, no antialias
 * - area: where the axis shrinks, the mean of [i, i + 1) * size / scaled weighted by coverage; elsewhere linear
 * - nearest: floor(i * size / scaled)
 * @param {Interpolation} interpolation
 * @param {number} size @param {number} scaled @param {number} [from] @param {number} [length]
 * @returns {Taps}
 */
export function makeTaps(interpolation, size, scaled, from = 0, length = scaled) {
  const kind = interpolation === 'area' && scaled >= size ? 'linear' : interpolation;
  const start = new Int32Array(length), count = new Int32Array(length);
  /** @type {number[]} */
  const weight = [];
  for (let i = 0; i < length; i++) {
    const [first, weights] = TAPS[kind](from + i, size, scaled);
    start[i] = first;
    count[i] = weights.length;
    weight.push(...weights);
  }
  return { start, count, weight: Float32Array.from(weight) };
}

/** @type {Record<Interpolation, (i: number, size: number, scaled: number) => [number, number[]]>} first, weights */
const TAPS = {
  nearest: (i, size, scaled) => [Math.min(size - 1, Math.floor((i * size) / scaled)), [1]],
  linear(i, size, scaled) {
    const at = Math.min(Math.max(((i + 0.5) * size) / scaled - 0.5, 0), size - 1);
    const first = Math.floor(at), right = at - first;
    return right === 0 ? [first, [1]] : [first, [1 - right, right]];
  },
  area(i, size, scaled) {
    // In units of 1/scaled of a pixel everything is an integer, so that no sliver of a pixel comes from rounding.
    const begin = i * size, end = begin + size;
    const first = Math.floor(begin / scaled), last = Math.ceil(end / scaled);
    const weights = [];
    for (let j = first; j < last; j++) {
      weights.push((Math.min(end, (j + 1) * scaled) - Math.max(begin, j * scaled)) / size);
    }
    return [first, weights];
  },
};
