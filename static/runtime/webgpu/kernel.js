// One shader in the making: its parameters, its buffers, and how a result is finished and written.
import { operandMode, owner } from '../gpu/step.js';
import { merged } from '../ops/binary/index.js';
import { count } from '../ops/node.js';
import { BINARY, FUNCTIONS, helpersOf } from './functions.js';

/** @typedef {import('../gpu/step.js').GpuValue} GpuValue */
/** @typedef {import('../gpu/step.js').Step} Step */
/** @typedef {import('../gpu/step.js').Tail} Tail */
/** @typedef {'f32'|'half'} Format of a buffer: vec4<f32> or four float16 in vec2<u32> */
/** @typedef {{key: string, format: Format, data: () => Float32Array}} Table numbers that a kernel reads, a texel of four
 *  after another; kept for the model under its key, '' for this plan alone */
/** @typedef {{value: GpuValue}|{table: Table}|{scratch: string, bytes: number}} Binding scratch: between the programs of one step */
/** @typedef {{name: string, type: 'u32'|'i32'|'f32', number: number}} Field */
/**
 * @typedef {object} Program one dispatch
 * @property {string} code the same for all steps that differ in numbers alone
 * @property {Field[]} fields of the uniform struct, in order
 * @property {Binding[]} reads @property {Binding} writes
 * @property {number[]} groups workgroups along x, y, z
 */

export const LINE = 64; // invocations of a workgroup that runs over texels
const MAX_GROUPS = 65535;

/** @param {number} invocations @returns {number[]} workgroups of LINE, folded where one axis does not hold them */
export function lines(invocations) {
  const groups = Math.max(1, Math.ceil(invocations / LINE)), x = Math.min(groups, MAX_GROUPS);
  return [x, Math.ceil(groups / x), 1];
}

/** Groups of one workgroup each, folded likewise. @param {number} groups */
export const folded = (groups) => lines(groups * LINE);

/** The number of this invocation among folded lines, and of its workgroup. */
export const LINE_ID = `let t = (group.y * groups.x + group.x) * ${LINE}u + local.x;`;
export const GROUP_ID = 'let g = group.y * groups.x + group.x;';

export class Kernel {
  /** @param {(value: GpuValue) => Format} formatOf */
  constructor(formatOf) {
    this.formatOf = formatOf;
    /** @type {Field[]} */
    this.fields = [];
    /** @type {Binding[]} */
    this.reads = [];
    /** @type {string[]} */
    this.declared = [];
    /** @type {Binding|null} */
    this.writes = null;
    /** @type {string[]} */
    this.globals = [];
    /** @type {Map<string, string>} functions made so far, by what they compute */
    this.made = new Map();
  }

  /** The name of a function, declared once. @param {string} key @param {string} prefix @param {(name: string) => string} declare */
  once(key, prefix, declare) {
    const old = this.made.get(key);
    if (old) return old;
    const name = `${prefix}${this.made.size}_`;
    this.made.set(key, name);
    this.globals.push(declare(name));
    return name;
  }

  /** @param {string} name @param {number} number @param {Field['type']} [type] @returns {string} the parameter in code */
  number(name, number, type = 'u32') {
    const full = `${name}_${this.fields.length}`;
    this.fields.push({ name: full, type, number });
    return `p.${full}`;
  }

  /** @param {string} name @param {number} number */
  float(name, number) { return this.number(name, number, 'f32'); }

  /** @param {string} name @param {number} number */
  int(name, number) { return this.number(name, number, 'i32'); }

  /** @param {GpuValue} value @returns {string} the suffix of ld (texel), sc (number in memory) and el (logical element) */
  read(value) {
    const old = this.reads.findIndex((binding) => 'value' in binding && owner(binding.value) === owner(value));
    return old >= 0 ? String(old) : this.bindRead({ value }, this.formatOf(owner(value)));
  }

  /** @param {Table} table @returns {string} */
  table(table) { return this.bindRead({ table }, table.format); }

  /** @param {string} scratch @param {number} bytes @returns {string} */
  scratch(scratch, bytes) { return this.bindRead({ scratch, bytes }, 'f32'); }

  /** @param {Binding} binding @param {Format} format */
  bindRead(binding, format) {
    const i = this.reads.push(binding) - 1, wide = format === 'f32';
    this.declared.push(`@group(0) @binding(${i + 1}) var<storage, read> b${i}: array<${wide ? 'vec4<f32>' : 'vec2<u32>'}>;`);
    this.globals.push(wide ? `fn ld${i}(i: u32) -> vec4<f32> { return b${i}[i]; }`
      : `fn ld${i}(i: u32) -> vec4<f32> { let h = b${i}[i]; return vec4<f32>(unpack2x16float(h.x), unpack2x16float(h.y)); }`);
    this.globals.push(`fn sc${i}(e: u32) -> f32 { return ld${i}(e >> 2u)[e & 3u]; }`);
    return String(i);
  }

  /** Code for element `e` (logical, u32) of a value. @param {GpuValue} value @param {string} e */
  element(value, e) {
    const b = this.read(value);
    if (value.layout === 'linear') return `sc${b}(${e})`;
    const name = this.once(`element of ${b} [${value.shape}]`, 'el', (el) => {
      const [, C, H, W] = value.shape, [c, p] = [this.number('C', C), this.number('P', H * W)];
      return `fn ${el}(e: u32) -> f32 {
        let p_ = e % ${p}; let q = e / ${p}; let c_ = q % ${c};
        return ld${b}(((q / ${c}) * ((${c} + 3u) / 4u) + c_ / 4u) * ${p} + p_)[c_ & 3u];
      }`;
    });
    return `${name}(${e})`;
  }

  /** @param {Binding} binding @param {Format} format */
  output(binding, format) {
    const i = this.reads.length + 1, wide = format === 'f32';
    this.writes = binding;
    this.declared.push(`@group(0) @binding(${i}) var<storage, read_write> out: array<${wide ? 'vec4<f32>' : 'vec2<u32>'}>;`);
    this.globals.push(wide ? 'fn st(i: u32, v: vec4<f32>) { out[i] = v; }' : `fn st(i: u32, v: vec4<f32>) {
      let w = clamp(v, vec4<f32>(-65504.), vec4<f32>(65504.));
      out[i] = vec2<u32>(pack2x16float(w.xy), pack2x16float(w.zw));
    }`);
  }

  /**
   * Code that applies a step's tail to `v`, the texel `t` of its result, and writes it. Where the result is c4, the code
   * before has `n`, `c4` and `hw` (image, block of channels, pixel).
   * @param {Step} step @returns {string}
   */
  finish(step) {
    const { y } = step, lines = step.tail.map((tail) => this.tail(step, tail)), c4 = y.layout === 'c4';
    if (c4 && y.shape[1] % 4) {
      const C = this.number('lanes', y.shape[1]);
      lines.push(`v = select(vec4<f32>(0.), v, vec4<u32>(4u * c4) + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(${C}));`);
    }
    this.output({ value: y }, this.formatOf(owner(y)));
    const more = c4 ? ', n: u32, c4: u32, hw: u32' : '';
    this.globals.push(`fn finish(first: vec4<f32>, t: u32${more}) {\nvar v = first;\n${lines.join('\n')}\nst(t, v);\n}`);
    return `finish(v, t${c4 ? ', n, c4, hw' : ''});`;
  }

  /** @param {Step} step @param {Tail} tail @returns {string} */
  tail(step, tail) {
    if (tail.fn === 'act') {
      const { kind, alpha, beta, gamma } = tail.act, text = FUNCTIONS[kind];
      const used = [['a', alpha], ['b', beta], ['c', gamma]].filter(([name]) => new RegExp(`\\b${name}\\b`).test(text));
      const lets = used.map(([name, number]) => `let ${name} = vec4<f32>(${this.float(String(name), finite(Number(number)))});`);
      return `{ let x = v; ${lets.join(' ')} v = ${text}; }`;
    }
    const operand = this.operand(step, tail), [x, y] = tail.swap ? [operand, 'v'] : ['v', operand];
    return `{ let x_ = ${x}; let y = ${y}; let x = x_; v = ${BINARY[tail.op]}; }`;
  }

  /** @param {Step} step @param {Tail & {fn: 'binary'}} tail @returns {string} a vec4 expression */
  operand(step, tail) {
    const value = step.x[tail.with], b = this.read(value), { mode, n } = operandMode(step, tail);
    if (mode === 'same') return `ld${b}(t)`;
    if (mode === 'scalar') return `vec4<f32>(ld${b}(0u).x)`;
    if (mode === 'channel') return n ? `ld${b}(n * ${this.number('images', n)} + c4)` : `ld${b}(c4)`;
    if (mode === 'row') return `ld${b}(t % ${this.number('row', n)})`;
    return `vec4<f32>(${[0, 1, 2, 3].map((lane) => this.element(value, this.stridedAt(step, tail.strides, lane))).join(', ')})`;
  }

  /** Code for the element of an operand beside lane `lane` of texel t. @param {Step} step @param {number[]} strides @param {number} lane */
  stridedAt({ y }, strides, lane) {
    const key = `place by ${strides}`;
    if (y.layout === 'c4') {
      const name = this.once(key, 'at', (at) => {
        const [, C, , W] = y.shape, [s0, s1, s2, s3] = strides.map((s, i) => this.number(`s${i}`, s));
        const [c, w] = [this.number('C', C), this.number('W', W)];
        return `fn ${at}(n: u32, c: u32, hw: u32) -> u32 {
          return n * ${s0} + min(c, ${c} - 1u) * ${s1} + (hw / ${w}) * ${s2} + (hw % ${w}) * ${s3};
        }`;
      });
      return `${name}(n, 4u * c4 + ${lane}u, hw)`;
    }
    const name = this.once(key, 'at', (at) => {
      const { dims, xs } = merged({ dims: y.shape, xs: strides, ys: strides }), size = this.number('count', count(y.shape));
      const body = dims.map((d, i) => [this.number('d', d), this.number('s', xs[i])]).reverse().map(([d, s], i) => (
        i === dims.length - 1 ? `at += r * ${s};` : `at += (r % ${d}) * ${s}; r /= ${d};`));
      return `fn ${at}(e: u32) -> u32 { var r = min(e, ${size} - 1u); var at = 0u; ${body.join(' ')} return at; }`;
    });
    return `${name}(4u * t + ${lane}u)`;
  }

  /**
   * @param {string} body @param {number[]} groups @param {number[]} [size] of a workgroup @returns {Program}
   */
  program(body, groups, size = [LINE, 1, 1]) {
    if (!this.fields.length) this.number('unused', 0);
    const struct = `struct Params { ${this.fields.map(({ name, type }) => `${name}: ${type}`).join(', ')} };`;
    const text = `${this.globals.join('\n')}\n@compute @workgroup_size(${size.join(', ')})
fn main(@builtin(local_invocation_id) local: vec3<u32>, @builtin(workgroup_id) group: vec3<u32>,
        @builtin(num_workgroups) groups: vec3<u32>) {\n${body}\n}`;
    const code = [struct, '@group(0) @binding(0) var<uniform> p: Params;', ...this.declared, ...helpersOf(text), text].join('\n');
    return { code, fields: this.fields, reads: this.reads, writes: /** @type {Binding} */ (this.writes), groups };
  }
}

/** Infinities as the ends of float32: uniform numbers must be finite. @param {number} x */
const finite = (x) => Math.min(Math.max(x, -3.4028234663852886e38), 3.4028234663852886e38);
