// Pictures on the GPU: copied into a texture when the caller gives them, and made into a tensor by one draw, by the rule
// of preprocess.js.
import { tablesOf } from '../preprocess.js';
import { count } from '../ops/node.js';
import { fours, rowsOf, Shader, shiftOf, storageOf } from './shader.js';

/** @typedef {import('../preprocess.js').PreprocessSpec} PreprocessSpec */
/** @typedef {import('../taps.js').Taps} Taps */
/** @typedef {import('./shader.js').Draw} Draw */
/** @typedef {import('./textures.js').Texture} Texture */
/** @typedef {{width: number, height: number, handle: WebGLTexture, close: () => void}} Picture close: it is not needed any more */
/** @typedef {{draw: Draw, program: import('./programs.js').Program, tables: Texture[]}} Rule how pictures of one size become
 *   tensors */

const MAX_KEPT = 8, MAX_RULES = 4;

/** A texel per output (first input, taps, where its weights begin), then the weights. @param {Taps} taps @returns {import('./shader.js').Table} */
function tapTable({ start, count: taps, weight }) {
  const n = start.length, cells = n + fours(weight.length);
  return {
    key: '', storage: { quad: false, cells },
    make() {
      const out = new Float32Array(4 * cells);
      for (let i = 0, at = 0; i < n; at += taps[i++]) out.set([start[i], taps[i], at], 4 * i);
      out.set(weight, 4 * n);
      return out;
    },
  };
}

/**
 * The draw that makes an upload of a picture in the texture `s_picture`, which the caller binds to the first unit.
 * @param {PreprocessSpec} spec @param {{width: number, height: number}} size @param {import('../gpu/step.js').GpuValue} value
 * @returns {Draw}
 */
function drawOf(spec, size, value) {
  const { out, kept, rows, columns, mix } = tablesOf(spec, size), shader = new Shader('preprocessing', { value }), planes = mix.length;
  shader.samplers.push('s_picture');
  shader.texture('rows', { table: tapTable(rows) });
  shader.texture('columns', { table: tapTable(columns) });
  shader.ints({ WIDE: out.width, AREA: out.width * out.height, KEPT_X: kept.width, KEPT_Y: kept.height, LAST: count(value.shape) - 1 });
  shader.define('pixel', `uniform sampler2D s_picture;
vec3 pixel(int x, int y) {
  vec4 row = rows(y), column = columns(x);
  vec3 sum = vec3(0.);
  for (int i = 0; i < int(row.y); i++) {
    vec3 line = vec3(0.);
    int k = int(row.z) + i;
    for (int j = 0; j < int(column.y); j++) {
      int m = int(column.z) + j;
      line += columns(KEPT_X + (m >> 2))[m & 3] * 255. * texelFetch(s_picture, ivec2(int(column.x) + j, int(row.x) + i), 0).rgb;
    }
    sum += rows(KEPT_Y + (k >> 2))[k & 3] * line;
  }
  return sum;
}`);
  const pad = shader.float(spec.padValue), numbers = (/** @type {number[]} */ list) => list.map((x) => shader.float(x)).join(', ');
  const channel = mix.map(({ red, green, blue, gain, bias }, c) => `${c < planes - 1 ? `if (c == ${c}) ` : ''}{ m = vec3(${numbers([red, green, blue])}); g = vec2(${numbers([gain, bias])}); }`);
  const place = spec.layout === 'nhwc' ? `int c = e % ${planes}, at = e / ${planes};` : 'int c = e / AREA, at = e % AREA;';
  shader.define('element', `float element(int e) {
  ${place}
  int x = at % WIDE, y = at / WIDE;
  vec3 m; vec2 g;
  ${channel.join(' else ')}
  float level = x < KEPT_X && y < KEPT_Y ? dot(m, pixel(x, y)) : ${pad};
  return level * g.x + g.y;
}`);
  return shader.draw(`v = vec4(${[0, 1, 2, 3].map((i) => `element(min(4 * t + ${i}, LAST))`).join(', ')});`);
}

export class Pictures {
  /** @param {import('./device.js').Device} device */
  constructor(device) {
    this.device = device;
    this.gl = device.gl;
    /** @type {Picture[]} that nobody uses */
    this.idle = [];
    /** @type {Set<Picture>} */
    this.held = new Set();
    /** @type {Map<string, Promise<Rule>>} by specification and size, the latest used last */
    this.rules = new Map();
  }

  /** Bytes of all pictures held. */
  get bytes() {
    return [...this.held].reduce((sum, { width, height }) => sum + 4 * width * height, 0);
  }

  /**
   * What a picture shows now.
   * @param {any} source drawable, or pixels {data} @param {{width: number, height: number}} size
   * @returns {Picture|null} null where WebGL takes no such picture
   */
  capture(source, { width, height }) {
    const { gl, device } = this;
    if (Math.max(width, height) > device.maxSize || device.checkLost()) return null;
    if (typeof HTMLImageElement === 'function' && source instanceof HTMLImageElement) return null; // it may lie on its side
    const picture = this.pictureOf(width, height);
    if (!picture) return null;
    gl.bindTexture(gl.TEXTURE_2D, picture.handle);
    try {
      if ('data' in source) {
        const { data } = source, bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
        gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, bytes);
      } else gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, source);
      return picture;
    } catch {
      picture.close();
      return null; // of another site: the canvas way tells why
    }
  }

  /** @param {number} width @param {number} height @returns {Picture|null} */
  pictureOf(width, height) {
    const at = this.idle.findIndex((one) => one.width === width && one.height === height);
    if (at >= 0) return this.idle.splice(at, 1)[0];
    const { gl } = this, handle = gl.createTexture();
    if (!handle) return null;
    gl.bindTexture(gl.TEXTURE_2D, handle);
    gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA8, width, height);
    for (const name of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, name, gl.NEAREST);
    /** @type {Picture} */
    const picture = { width, height, handle, close: () => this.giveBack(picture) };
    this.held.add(picture);
    return picture;
  }

  /** @param {Picture} picture whose readers are drawn */
  giveBack(picture) {
    if (!this.held.has(picture) || this.idle.includes(picture)) return;
    this.idle.push(picture);
    while (this.idle.length > MAX_KEPT) this.drop(/** @type {Picture} */ (this.idle.shift()));
  }

  /** @param {Picture} picture */
  drop(picture) {
    this.held.delete(picture);
    this.gl.deleteTexture(picture.handle);
  }

  /**
   * The draw for a picture, compiled.
   * @param {PreprocessSpec} spec @param {{width: number, height: number}} size @param {import('../gpu/step.js').GpuValue} value the upload
   * @returns {Promise<Rule>}
   */
  ruleOf(spec, { width, height }, value) {
    const key = `${width}x${height} ${value.shape} ${JSON.stringify(spec)}`, rule = this.rules.get(key) ?? this.makeRule(spec, { width, height }, value);
    this.rules.delete(key);
    this.rules.set(key, rule);
    rule.catch(() => this.rules.delete(key));
    for (const [name, old] of [...this.rules].slice(0, -MAX_RULES)) {
      this.rules.delete(name);
      old.then((one) => this.dropRule(one), () => {}); // it never came to be
    }
    return rule;
  }

  /** @param {PreprocessSpec} spec @param {{width: number, height: number}} size @param {import('../gpu/step.js').GpuValue} value @returns {Promise<Rule>} */
  async makeRule(spec, size, value) {
    const { programs, textures } = this.device, draw = drawOf(spec, size, value), program = programs.take(draw.source);
    const tables = draw.inputs.map((input) => {
      const { cells } = storageOf(input), texture = textures.make({ quad: false, shift: shiftOf(cells), rows: rowsOf(cells), half: false });
      if ('table' in input) textures.fill(texture, input.table.make());
      return texture;
    });
    await programs.finish();
    return { draw, program, tables };
  }

  /** @param {Rule} rule */
  dropRule({ program, tables }) {
    this.device.programs.drop(program);
    for (const table of tables) this.device.textures.drop(table);
  }

  /**
   * What is drawn to make an upload of a picture.
   * @param {Rule} rule @param {Picture} picture @param {Texture} texture of the upload
   * @returns {import('./index.js').Ready}
   */
  ready({ draw, program, tables }, picture, texture) {
    const { ints, floats, output } = draw;
    return {
      program, ints, floats, inputs: [{ ...texture, kind: this.gl.TEXTURE_2D, handle: picture.handle }, ...tables], target: this.device.textures.targetOf(texture),
      width: 2 ** texture.shift, rows: rowsOf(storageOf(output).cells), step: -1, bytes: 4 * picture.width * picture.height,
    };
  }

  dispose() {
    for (const picture of [...this.held]) this.drop(picture);
    for (const rule of this.rules.values()) rule.then((one) => this.dropRule(one), () => {}); // it never came to be
    this.idle = [];
    this.rules.clear();
  }
}
