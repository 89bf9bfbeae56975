// One draw as plain data, and the builder that families of steps write it with: numbers, textures, coordinates.
import { texels } from '../gpu/step.js';

/** @typedef {import('../gpu/step.js').GpuValue} GpuValue */
/** @typedef {{name: string, text: string, samplers: string[]}} Source a fragment shader; name: for messages */
/** @typedef {{key: string, texels: number, make: () => Float32Array}} Table constant texels, four floats each; the same
 *   in all plans of a model if it has a key */
/** @typedef {{texels: number, exact: boolean}} Scratch texels between the draws of one step; exact: float32 if possible */
/** @typedef {{value: GpuValue}|{table: Table}|{scratch: Scratch}} Place what a texture holds */
/**
 * @typedef {object} Draw one program, what it reads and where it writes: a texel per fragment
 * @property {Source} source
 * @property {Int32Array} ints
 * @property {Float32Array} floats
 * @property {Place[]} inputs in order of the samplers
 * @property {Place} output
 * @property {number} step index of the step within its segment, once it is known
 */

/**
 * Texels lie in rows of 2^shift: the position of one is found by shifts, not divisions.
 * @param {number} count of texels @returns {number} shift
 */
export const shiftOf = (count) => (count <= 2 ** 19 ? 8 : count <= 2 ** 22 ? 10 : 12);

/** @param {number} count @returns {number} rows of the texture that holds so many texels */
export const rowsOf = (count) => Math.max(1, Math.ceil(count / 2 ** shiftOf(count)));

/** @param {Place} place @returns {number} */
export function texelsOf(place) {
  if ('value' in place) return texels(place.value);
  return 'table' in place ? place.table.texels : place.scratch.texels;
}

/** @param {number} n */
export const fours = (n) => Math.ceil(n / 4);

export class Shader {
  /** @param {string} name @param {Place} output */
  constructor(name, output) {
    this.name = name;
    this.output = output;
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

  /** A texture: `name(t)` is texel t. @param {string} name @param {Place} place */
  texture(name, place) {
    if (this.samplers.includes(`s_${name}`)) return;
    this.samplers.push(`s_${name}`);
    this.inputs.push(place);
    const shift = shiftOf(texelsOf(place));
    this.functions.set(name, `uniform sampler2D s_${name};
vec4 ${name}(int t) { return texelFetch(s_${name}, ivec2(t & ${2 ** shift - 1}, t >> ${shift}), 0); }`);
  }

  /** Elements of a texture: `name_e(e)` is the element at row-major position e of its value. @param {string} name @param {GpuValue} value */
  elements(name, value) {
    this.texture(name, { value });
    if (this.functions.has(`${name}_e`)) return;
    if (value.layout === 'linear') {
      this.functions.set(`${name}_e`, `float ${name}_e(int e) { return ${name}(e >> 2)[e & 3]; }`);
      return;
    }
    const [N, C, H, W] = value.shape, plane = this.int(`${name}_HW`, H * W);
    const channels = this.int(`${name}_C`, C), image = N > 1 ? `r / ${channels} * ${this.int(`${name}_C4`, fours(C))}` : '0';
    const channel = N > 1 ? `r % ${channels}` : 'r';
    this.functions.set(`${name}_e`, `float ${name}_e(int e) {
  int r = e / ${plane}, c = ${channel};
  return ${name}((${image} + (c >> 2)) * ${plane} + e % ${plane})[c & 3];
}`);
  }

  /** A function that bodies call. @param {string} name @param {string} text */
  define(name, text) {
    this.functions.set(name, text);
  }

  /**
   * @param {string} body statements that set `vec4 v`, the texel at `int t`
   * @returns {Draw}
   */
  draw(body) {
    const shift = shiftOf(texelsOf(this.output));
    const text = `#version 300 es
precision highp float;
precision highp int;
precision highp sampler2D;
#define INF uintBitsToFloat(0x7f800000u)
#define NAN uintBitsToFloat(0x7fc00000u)
${this.numbers.length ? `uniform ivec4 p[${fours(this.numbers.length)}];` : ''}
${this.reals.length ? `uniform vec4 f[${fours(this.reals.length)}];` : ''}
${this.defines.join('\n')}
${[...this.functions.values()].join('\n')}
out vec4 result;
void main() {
int t = int(gl_FragCoord.y) << ${shift} | int(gl_FragCoord.x);
vec4 v = vec4(0.);
${body}
result = v;
}
`;
    return {
      source: { name: this.name, text, samplers: this.samplers }, inputs: this.inputs, output: this.output, step: -1,
      ints: Int32Array.from({ length: 4 * fours(this.numbers.length) }, (_, i) => this.numbers[i] ?? 0),
      floats: Float32Array.from({ length: 4 * fours(this.reals.length) }, (_, i) => this.reals[i] ?? 0),
    };
  }
}
