// Picture -> normalised tensor, as the bundle says: y[c] = (x[c] * scale - mean[c]) / std[c], x = 0..255.
// Resizing is separable and in float32 with no rounding between; picture/preprocess.py computes the same.
import { InPageError } from './errors.js';
import { makeTaps } from './taps.js';

/** @typedef {{data: Uint8Array|Uint8ClampedArray, width: number, height: number}} Picture RGBA, row-major */
/**
 * @typedef {object} PreprocessSpec
 * @property {string} input the graph input that takes the picture
 * @property {[number, number]|null} size [height, width]
 * @property {'stretch'|'fit'|'short'|'limit'} resize
 * @property {import('./taps.js').Interpolation} interpolation
 * @property {[number, number]|null} crop [height, width] cut from the centre after resizing
 * @property {{side: number, type: 'max'|'min', multiple: number}|null} limit
 * @property {number} padValue 0..255, right of and below a `fit` picture
 * @property {'rgb'|'bgr'|'gray'} channels
 * @property {'nchw'|'nhwc'} layout
 * @property {number} scale
 * @property {number[]} mean
 * @property {number[]} std
 */
/** @typedef {{height: number, width: number}} Size */
/** @typedef {{scaled: Size, top: number, left: number, kept: Size, out: Size}} Geometry the whole picture is scaled
 *  to `scaled`; of that, `kept` pixels from (top, left) go to the top-left corner of an `out` picture */

const CHOICES = {
  resize: ['stretch', 'fit', 'short', 'limit'],
  interpolation: ['linear', 'area', 'nearest'],
  channels: ['rgb', 'bgr', 'gray'],
  layout: ['nchw', 'nhwc'],
};

/**
 * Checks the "preprocess" of a model.json.
 * @param {any} json @param {readonly {name: string}[]} inputs
 * @returns {PreprocessSpec}
 * @throws {InPageError} invalid_model naming the key
 */
export function checkSpec(json, inputs) {
  /** @param {boolean} sound @param {string} key @param {string} need */
  const need = (sound, key, need) => {
    if (sound) return;
    throw new InPageError('invalid_model', `preprocess.${key} is ${JSON.stringify(json?.[key])}, not ${need}`, {
      where: 'model.json', hint: 'correct the preprocessing options and convert the model again',
    });
  };
  const isSide = (/** @type {unknown} */ n) => Number.isSafeInteger(n) && Number(n) > 0 && Number(n) <= 16384;
  const isPair = (/** @type {unknown} */ pair) => Array.isArray(pair) && pair.length === 2 && pair.every(isSide);
  const names = inputs.map(({ name }) => name);
  need(names.includes(json.input), 'input', `one of the model's inputs (${names.join(', ')})`);
  for (const [key, values] of Object.entries(CHOICES)) {
    need(values.includes(json[key]), key, `one of ${values.join(', ')}`);
  }
  const { size = null, crop = null, limit = null, padValue = 0 } = json;
  need(size === null ? ['stretch', 'limit'].includes(json.resize) : isPair(size), 'size', '[height, width]');
  need(crop === null || isPair(crop), 'crop', '[height, width] or null');
  const isLimit = isSide(limit?.side) && ['max', 'min'].includes(limit.type) && isSide(limit.multiple);
  need(json.resize !== 'limit' || isLimit, 'limit', '{side, type: "max" or "min", multiple}');
  const planes = json.channels === 'gray' ? 1 : 3;
  const isFloat = (/** @type {unknown} */ x) => typeof x === 'number' && Number.isFinite(x);
  need(isFloat(padValue), 'padValue', 'a number');
  need(isFloat(json.scale), 'scale', 'a number');
  const isList = (/** @type {unknown} */ list) => Array.isArray(list) && list.length === planes && list.every(isFloat);
  need(isList(json.mean), 'mean', `${planes} numbers`);
  need(isList(json.std) && !json.std.includes(0), 'std', `${planes} numbers other than 0`);
  return { ...json, size, crop, limit, padValue };
}

/**
 * Where the picture goes, in whole pixels.
 * @param {PreprocessSpec} spec @param {Size} picture
 * @returns {Geometry}
 */
export function geometry(spec, picture) {
  const scaled = scaledSize(spec, picture);
  const { crop } = spec;
  const [height, width] = crop ?? [scaled.height, scaled.width];
  if (height > scaled.height || width > scaled.width) {
    const sizes = `${scaled.width}×${scaled.height} after resizing, smaller than the crop of ${width}×${height}`;
    throw new InPageError('invalid_input', `The picture is ${sizes}`, { hint: 'use a larger picture' });
  }
  const kept = { height, width };
  const padded = spec.resize === 'fit' && !crop && spec.size;
  return {
    scaled, kept,
    top: (scaled.height - height) >> 1,
    left: (scaled.width - width) >> 1,
    out: padded ? { height: padded[0], width: padded[1] } : kept,
  };
}

/** To the nearest integer, halves up, at least 1. @param {number} x */
const nearest = (x) => Math.max(1, Math.floor(x + 0.5));

/** @param {PreprocessSpec} spec @param {Size} picture @returns {Size} */
function scaledSize({ size, resize, limit }, { height, width }) {
  if (resize === 'limit' && limit) {
    const longest = Math.max(height, width), shortest = Math.min(height, width);
    const ratio = limit.type === 'max' ? Math.min(1, limit.side / longest) : Math.max(1, limit.side / shortest);
    const { multiple } = limit;
    const toMultiple = (/** @type {number} */ side) => nearest(Math.floor(side * ratio) / multiple) * multiple;
    return { height: toMultiple(height), width: toMultiple(width) };
  }
  if (!size) return { height, width };
  const [h, w] = size;
  if (resize === 'stretch') return { height: h, width: w };
  if (resize === 'fit') {
    const ratio = Math.min(h / height, w / width);
    return { height: Math.min(h, nearest(height * ratio)), width: Math.min(w, nearest(width * ratio)) };
  }
  const ratio = Math.min(h, w) / Math.min(height, width);
  return { height: nearest(height * ratio), width: nearest(width * ratio) };
}

/**
 * @param {PreprocessSpec} spec @param {Picture} picture
 * @returns {{data: Float32Array, shape: number[]}} [1, C, H, W] or [1, H, W, C]
 */
export function preprocess(spec, picture) {
  return new Preprocessor(spec).run(picture);
}

/** The same with its tables and buffers kept: a stream of frames of one size allocates nothing after the first. */
export class Preprocessor {
  /** @param {PreprocessSpec} spec */
  constructor(spec) {
    this.spec = spec;
    /** @type {{width: number, height: number, prepared: Prepared}|null} */
    this.last = null;
  }

  /**
   * @param {Picture} picture
   * @returns {{data: Float32Array, shape: number[]}} data is overwritten by the next run
   * @throws {InPageError} invalid_input
   */
  run(picture) {
    const { data, width, height } = picture;
    if (!(data instanceof Uint8ClampedArray || data instanceof Uint8Array) || !(width > 0) || !(height > 0)
      || data.length !== 4 * width * height) {
      const need = `A picture of ${width}×${height} needs ${4 * width * height} bytes of RGBA`;
      throw new InPageError('invalid_input', need, { where: `input "${this.spec.input}"` });
    }
    if (this.last?.width !== width || this.last.height !== height) {
      this.last = { width, height, prepared: prepare(this.spec, { width, height }) };
    }
    const { prepared } = this.last;
    resample(data, width, prepared);
    return { data: prepared.data, shape: [...prepared.shape] };
  }
}

/**
 * @typedef {object} Prepared everything that depends only on the spec and the picture's size
 * @property {Float32Array} data the result
 * @property {number[]} shape
 * @property {import('./taps.js').Taps} rows
 * @property {import('./taps.js').Taps} columns
 * @property {Float32Array[]} lines two source rows after horizontal resampling, RGB interleaved: row r is in r % 2
 * @property {Float32Array} sum one output row
 * @property {{plane: number, row: number, column: number}} stride of the result
 * @property {{red: number, green: number, blue: number, gain: number, bias: number}[]} mix one per output channel:
 *   y = (red R + green G + blue B) * gain + bias
 */

/**
 * What a device needs to compute the same: where pixels come from along each axis, and how they are mixed.
 * @param {PreprocessSpec} spec @param {Size} picture
 * @returns {{out: Size, kept: Size, shape: number[], rows: import('./taps.js').Taps, columns: import('./taps.js').Taps,
 *   mix: Prepared['mix']}} kept: the part of the result, from its top-left corner, that the picture fills; the rest is
 *   padValue
 */
export function tablesOf(spec, picture) {
  const { scaled, kept, top, left, out } = geometry(spec, picture), mix = mixOf(spec);
  return {
    out, kept, mix,
    shape: spec.layout === 'nchw' ? [1, mix.length, out.height, out.width] : [1, out.height, out.width, mix.length],
    rows: makeTaps(spec.interpolation, picture.height, scaled.height, top, kept.height),
    columns: makeTaps(spec.interpolation, picture.width, scaled.width, left, kept.width),
  };
}

/** @param {PreprocessSpec} spec @param {Size} picture @returns {Prepared} */
function prepare(spec, picture) {
  const { kept, out, mix, shape, rows, columns } = tablesOf(spec, picture);
  const planes = mix.length;
  const data = new Float32Array(planes * out.height * out.width);
  const stride = spec.layout === 'nchw'
    ? { plane: out.height * out.width, row: out.width, column: 1 }
    : { plane: 1, row: out.width * planes, column: planes };
  if (out.height !== kept.height || out.width !== kept.width) {
    const { plane, row, column } = stride;
    mix.forEach(({ gain, bias }, c) => {
      const value = spec.padValue * gain + bias;
      for (let y = 0; y < out.height; y++) {
        for (let x = 0; x < out.width; x++) data[c * plane + y * row + x * column] = value;
      }
    });
  }
  return {
    data, stride, mix, shape, rows, columns,
    lines: [new Float32Array(3 * kept.width), new Float32Array(3 * kept.width)],
    sum: new Float32Array(3 * kept.width),
  };
}

/** @param {PreprocessSpec} spec @returns {Prepared['mix']} */
function mixOf({ channels, scale, mean, std }) {
  const weights = {
    rgb: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    bgr: [[0, 0, 1], [0, 1, 0], [1, 0, 0]],
    gray: [[0.299, 0.587, 0.114]],
  }[channels];
  return weights.map(([red, green, blue], c) => ({ red, green, blue, gain: scale / std[c], bias: -mean[c] / std[c] }));
}

/**
 * @param {Uint8Array|Uint8ClampedArray} rgba @param {number} width of the picture @param {Prepared} prepared
 */
function resample(rgba, width, prepared) {
  const { rows, columns, lines, sum } = prepared;
  const held = [-1, -1]; // which source row each line holds
  for (let y = 0, tap = 0; y < rows.start.length; y++) {
    const first = rows.start[y], count = rows.count[y];
    for (let k = 0; k < count; k++, tap++) {
      const row = first + k, line = lines[row & 1], weight = rows.weight[tap];
      if (held[row & 1] !== row) {
        resampleRow(rgba, 4 * row * width, columns, line);
        held[row & 1] = row;
      }
      if (k === 0) for (let i = 0; i < sum.length; i++) sum[i] = weight * line[i];
      else for (let i = 0; i < sum.length; i++) sum[i] += weight * line[i];
    }
    emitRow(prepared, y);
  }
}

/**
 * One source row resampled along x into interleaved RGB.
 * @param {Uint8Array|Uint8ClampedArray} rgba @param {number} base index of the row's first byte
 * @param {import('./taps.js').Taps} columns @param {Float32Array} line
 */
function resampleRow(rgba, base, { start, count, weight }, line) {
  for (let x = 0, tap = 0, to = 0; x < start.length; x++, to += 3) {
    let red = 0, green = 0, blue = 0;
    let from = base + 4 * start[x];
    for (const end = tap + count[x]; tap < end; tap++, from += 4) {
      const w = weight[tap];
      red += w * rgba[from];
      green += w * rgba[from + 1];
      blue += w * rgba[from + 2];
    }
    line[to] = red;
    line[to + 1] = green;
    line[to + 2] = blue;
  }
}

/** One row of the result from `sum`. @param {Prepared} prepared @param {number} y */
function emitRow({ data, stride, mix, sum }, y) {
  for (let c = 0; c < mix.length; c++) {
    const { red, green, blue, gain, bias } = mix[c];
    let to = c * stride.plane + y * stride.row;
    for (let i = 0; i < sum.length; i += 3, to += stride.column) {
      data[to] = (red * sum[i] + green * sum[i + 1] + blue * sum[i + 2]) * gain + bias;
    }
  }
}
