// One draw as plain data, and the builder that families of steps write it with: numbers, textures, storage.
import { texels } from '../gpu/step.js';

/** @typedef {import('../gpu/step.js').GpuValue} GpuValue */
/** @typedef {{name: string, text: string, samplers: string[]}} Source a fragment shader; name: for messages */
/**
 * @typedef {object} Storage how texels lie in a texture. flat: one texel per cell. quad: four layers; a cell holds four
 *   neighbouring pixels of a row, one per layer, so that one fragment can make all four from what they share
 * @property {boolean} quad
 * @property {number} cells
 */
/** @typedef {{key: string, storage: Storage, make: () => Float32Array}} Table constant texels, layer after layer; the same
 *   in all plans of a model if it has a key, else float32 in any precision */
/** @typedef {{texels: number, exact: boolean}} Scratch flat, between the draws of a step; exact: float32 if possible */
/** @typedef {{value: GpuValue}|{table: Table}|{scratch: Scratch}} Place what a texture holds */
/**
 * @typedef {object} Draw one program, what it reads and where it writes: a cell per fragment
 * @property {Source} source
 * @property {Int32Array} ints
 * @property {Float32Array} floats
 * @property {Place[]} inputs in order of the samplers
 * @property {Place} output
 */

export const LAYERS = 4;

/**
 * Cells lie in rows of 2^shift: the position of one is found by shifts, not divisions.
 * @param {number} count of cells @returns {number} shift
 */
export const shiftOf = (count) => (count <= 2 ** 19 ? 8 : count <= 2 ** 22 ? 10 : 12);

/** @param {number} count @returns {number} rows of the texture that holds so many cells */
export const rowsOf = (count) => Math.max(1, Math.ceil(count / 2 ** shiftOf(count)));

/** Planes of pixels are quad; vectors of channels are flat, the same as linear ones. @param {{shape: number[], layout: string}} value @returns {Storage} */
export function storageOfValue(value) {
  const { shape: [N, C, H, W], layout } = value;
  if (layout === 'c4' && H * W > 1) return { quad: true, cells: N * fours(C) * H * fours(W) };
  return { quad: false, cells: texels(/** @type {GpuValue} */ (value)) };
}

/** @param {Place} place @returns {Storage} */
export function storageOf(place) {
  if ('value' in place) return storageOfValue(place.value);
  return 'table' in place ? place.table.storage : { quad: false, cells: place.scratch.texels };
}

/** @param {number} n */
export const fours = (n) => Math.ceil(n / 4);

export class Shader {
  /** @param {string} name @param {Place} output */
  constructor(name, output) {
    this.name = name;
    this.output = output;
    this.quad = storageOf(output).quad;
    /** @type {number[]} */
    this.numbers = [];
    /** @type {string[]} */
    this.defines = [];
    /** @type {number[]} */
    this.reals = [];
    /** @type {Place[]} */
    this.inputs = [];
    /** @type {string[]} */
    this.samplers = [];
    /** @type {Map<string, string>} by name, in order */
    this.functions = new Map();
  }

  /** An integer under a name of its own. @param {string} name @param {number} n @returns {string} the name */
  int(name, n) {
    if (this.defines.some((line) => line.startsWith(`#define ${name} `))) throw new RangeError(`${name} is there already`);
    const i = this.numbers.push(n) - 1;
    this.defines.push(`#define ${name} p[${i >> 2}].${'xyzw'[i & 3]}`);
    return name;
  }

  /** @param {Record<string, number>} list */
  ints(list) {
    for (const [name, n] of Object.entries(list)) this.int(name, n);
  }

  /** A number; as text of an expression. @param {number} x @returns {string} */
  float(x) {
    if (Math.abs(x) === Infinity) return x > 0 ? 'INF' : '(-INF)';
    const i = this.reals.push(x) - 1;
    return `f[${i >> 2}].${'xyzw'[i & 3]}`;
  }

  /**
   * A texture. Flat: `name(t)` is texel t. Quad: `name_at(cell, layer)`. Values in c4 also `name(row, w)`: the pixel of
   * column w in row (n * ceil(C / 4) + c4) * H + h.
   * @param {string} name @param {Place} place
   */
  texture(name, place) {
    if (this.samplers.includes(`s_${name}`)) return;
    this.samplers.push(`s_${name}`);
    this.inputs.push(place);
    const { quad, cells } = storageOf(place), shift = shiftOf(cells), at = (/** @type {string} */ i) => `${i} & ${2 ** shift - 1}, ${i} >> ${shift}`;
    const isC4 = 'value' in place && place.value.layout === 'c4', lines = [`uniform sampler2D${quad ? 'Array' : ''} s_${name};`];
    if (quad) lines.push(`vec4 ${name}_at(int cell, int layer) { return texelFetch(s_${name}, ivec3(${at('cell')}, layer), 0); }`);
    else lines.push(`vec4 ${name}(int t) { return texelFetch(s_${name}, ivec2(${at('t')}), 0); }`);
    if (quad && isC4) lines.push(`vec4 ${name}(int row, int w) { return ${name}_at(row * ${this.int(`${name}_CELLS`, fours(place.value.shape[3]))} + (w >> 2), w & 3); }`);
    if (!quad && isC4) lines.push(`vec4 ${name}(int row, int w) { return ${name}(row); }`);
    this.functions.set(name, lines.join('\n'));
  }

  /** Elements of a texture: `name_e(e)` is the element at row-major position e of its value. @param {string} name @param {GpuValue} value */
  elements(name, value) {
    this.texture(name, { value });
    if (this.functions.has(`${name}_e`)) return;
    if (value.layout === 'linear') {
      this.functions.set(`${name}_e`, `float ${name}_e(int e) { return ${name}(e >> 2)[e & 3]; }`);
      return;
    }
    const [N, C, H, W] = value.shape, wide = this.int(`${name}_W`, W), high = this.int(`${name}_H`, H);
    const image = N > 1 ? `e / ${this.int(`${name}_C`, C)} * ${this.int(`${name}_C4`, fours(C))}` : '0', channel = N > 1 ? `e % ${name}_C` : 'e';
    this.functions.set(`${name}_e`, `float ${name}_e(int e) {
  int w = e % ${wide}; e /= ${wide};
  int h = e % ${high}; e /= ${high};
  int c = ${channel};
  return ${name}((${image} + (c >> 2)) * ${high} + h, w)[c & 3];
}`);
  }

  /** A function that bodies call. @param {string} name @param {string} text */
  define(name, text) {
    this.functions.set(name, text);
  }

  /**
   * @param {string} body statements that set `vec4 v`, the texel at `int t`; or v0 to v3, the layers of cell t
   * @returns {Draw}
   */
  draw(body) {
    const shift = shiftOf(storageOf(this.output).cells), layers = this.quad ? [0, 1, 2, 3] : [''];
    const text = `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
precision highp sampler2DArray;
#define INF uintBitsToFloat(0x7f800000u)
#define NAN uintBitsToFloat(0x7fc00000u)
${this.numbers.length ? `uniform ivec4 p[${fours(this.numbers.length)}];` : ''}
${this.reals.length ? `uniform vec4 f[${fours(this.reals.length)}];` : ''}
${this.defines.join('\n')}
int t;
${[...this.functions.values()].join('\n')}
${layers.map((i) => `layout(location = ${i || 0}) out vec4 result${i};`).join('\n')}
void main() {
t = int(gl_FragCoord.y) << ${shift} | int(gl_FragCoord.x);
vec4 ${layers.map((i) => `v${i} = vec4(0.)`).join(', ')};
${body}
${layers.map((i) => `result${i} = v${i};`).join('\n')}
}
`;
    return {
      source: { name: this.name, text, samplers: this.samplers }, inputs: this.inputs, output: this.output,
      ints: Int32Array.from({ length: 4 * fours(this.numbers.length) }, (_, i) => this.numbers[i] ?? 0),
      floats: Float32Array.from({ length: 4 * fours(this.reals.length) }, (_, i) => this.reals[i] ?? 0),
    };
  }
}
