// Pictures on the GPU: copied into a texture when the caller gives them, and made into a tensor by one dispatch, by the
// rule of preprocess.js.
import { tablesOf } from '../preprocess.js';

/** @typedef {import('../preprocess.js').PreprocessSpec} PreprocessSpec */
/** @typedef {import('../taps.js').Taps} Taps */
/** @typedef {{texture: GPUTexture, width: number, height: number, close: () => void}} Picture close: gives it back unused */
/** @typedef {{group: (texture: GPUTexture, target: GPUBuffer) => GPUBindGroup, texels: number, buffers: GPUBuffer[]}} Rule for one size */

const LINE = 64, MAX_KEPT = 8, MAX_RULES = 4, MAX_GROUPS = 65535;

const CODE = `
struct Params {
  channels: array<vec4<f32>, 6>,
  out: vec2<u32>, kept: vec2<u32>, planes: u32, last: u32, count: u32, value: f32,
};
@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> rows: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> columns: array<vec4<f32>>;
@group(0) @binding(3) var picture: texture_2d<f32>;
@group(0) @binding(4) var<storage, read_write> result: array<vec4<f32>>;

fn pixel(x: u32, y: u32) -> vec3<f32> {
  let row = rows[y];
  let column = columns[x];
  var sum = vec3<f32>(0.);
  for (var i = 0u; i < u32(row.y); i++) {
    var line = vec3<f32>(0.);
    for (var j = 0u; j < u32(column.y); j++) {
      let at = u32(column.z) + j;
      line += columns[p.kept.x + at / 4u][at % 4u] * 255. * textureLoad(picture, vec2<u32>(u32(column.x) + j, u32(row.x) + i), 0).rgb;
    }
    let at = u32(row.z) + i;
    sum += rows[p.kept.y + at / 4u][at % 4u] * line;
  }
  return sum;
}

@compute @workgroup_size(${LINE})
fn main(@builtin(local_invocation_id) local: vec3<u32>, @builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
  let t = (group.y * groups.x + group.x) * ${LINE}u + local.x;
  if (4u * t >= p.count) { return; }
  var v = vec4<f32>(0.);
  for (var lane = 0u; lane < 4u; lane++) {
    let e = min(4u * t + lane, p.count - 1u);
    let c = select(e / (p.out.x * p.out.y), e % p.planes, p.last == 1u);
    let at = select(e % (p.out.x * p.out.y), e / p.planes, p.last == 1u);
    let mix = p.channels[2u * c];
    let x = at % p.out.x;
    let y = at / p.out.x;
    var level = p.value;
    if (x < p.kept.x && y < p.kept.y) { level = dot(mix.xyz, pixel(x, y)); }
    v[lane] = level * mix.w + p.channels[2u * c + 1u].x;
  }
  result[t] = v;
}`;

export class Pictures {
  /** @param {GPUDevice} device @param {(descriptor: GPUBufferDescriptor) => GPUBuffer} allocate @param {(buffer: GPUBuffer) => void} free */
  constructor(device, allocate, free) {
    this.device = device;
    this.allocate = allocate;
    this.free = free;
    /** @type {GPUTexture[]} that nobody uses */
    this.idle = [];
    /** @type {Set<GPUTexture>} */
    this.held = new Set();
    /** @type {Map<string, Rule>} by specification and size, the latest used last */
    this.rules = new Map();
    /** @type {GPUComputePipeline|null} */
    this.pipeline = null;
  }

  /** Bytes of all textures. */
  get bytes() {
    return [...this.held].reduce((sum, { width, height }) => sum + 4 * width * height, 0);
  }

  /**
   * What a picture shows now.
   * @param {GPUCopyExternalImageSource|{data: Uint8Array|Uint8ClampedArray}} source @param {{width: number, height: number}} size
   * @returns {Picture|null} null where this GPU takes no such picture
   */
  capture(source, { width, height }) {
    if (Math.max(width, height) > this.device.limits.maxTextureDimension2D) return null;
    const texture = this.textureOf(width, height), { queue } = this.device;
    try {
      if ('data' in source && !('colorSpace' in source)) {
        queue.writeTexture({ texture }, /** @type {Uint8Array<ArrayBuffer>} */ (source.data), { bytesPerRow: 4 * width }, { width, height });
      } else {
        queue.copyExternalImageToTexture({ source: /** @type {GPUCopyExternalImageSource} */ (source) }, { texture }, { width, height });
      }
    } catch {
      this.giveBack(texture);
      return null; // a source that the GPU may not read: the canvas way tells why
    }
    let open = true;
    const close = () => {
      if (open) this.giveBack(texture);
      open = false;
    };
    return { texture, width, height, close };
  }

  /** @param {number} width @param {number} height @returns {GPUTexture} */
  textureOf(width, height) {
    const at = this.idle.findIndex((one) => one.width === width && one.height === height);
    if (at >= 0) return this.idle.splice(at, 1)[0];
    const usage = GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.COPY_DST | GPUTextureUsage.RENDER_ATTACHMENT;
    const texture = this.device.createTexture({ size: { width, height }, format: 'rgba8unorm', usage });
    this.held.add(texture);
    return texture;
  }

  /** @param {GPUTexture} texture whose readers are submitted */
  giveBack(texture) {
    this.idle.push(texture);
    for (const old of this.idle.splice(0, this.idle.length - MAX_KEPT)) this.drop(old);
  }

  /** @param {GPUTexture} texture */
  drop(texture) {
    this.held.delete(texture);
    texture.destroy();
  }

  /**
   * Adds the dispatch that makes the tensor of a picture, and gives the picture back.
   * @param {GPUCommandEncoder} encoder @param {PreprocessSpec} spec @param {Picture} picture @param {GPUBuffer} target float32
   */
  encode(encoder, spec, picture, target) {
    const { group, texels } = this.ruleOf(spec, picture), pass = encoder.beginComputePass(), groups = Math.ceil(texels / LINE), x = Math.min(groups, MAX_GROUPS);
    pass.setPipeline(/** @type {GPUComputePipeline} */ (this.pipeline));
    pass.setBindGroup(0, group(picture.texture, target));
    pass.dispatchWorkgroups(x, Math.ceil(groups / x));
    pass.end();
    picture.close();
  }

  /** @param {PreprocessSpec} spec @param {Picture} picture @returns {Rule} */
  ruleOf(spec, { width, height }) {
    const key = `${width}x${height} ${JSON.stringify(spec)}`, known = this.rules.get(key);
    const rule = known ?? this.makeRule(spec, { width, height });
    this.rules.delete(key);
    this.rules.set(key, rule);
    for (const [name, old] of [...this.rules].slice(0, -MAX_RULES)) {
      this.rules.delete(name);
      old.buffers.forEach(this.free);
    }
    return rule;
  }

  /** @param {PreprocessSpec} spec @param {{width: number, height: number}} size @returns {Rule} */
  makeRule(spec, size) {
    const { device } = this, { out, kept, rows, columns, mix } = tablesOf(spec, size), planes = mix.length;
    const pipeline = this.pipeline ??= device.createComputePipeline({ layout: 'auto', compute: { module: device.createShaderModule({ code: CODE }) } });
    const count = planes * out.height * out.width, params = new ArrayBuffer(128), floats = new Float32Array(params), ints = new Uint32Array(params);
    mix.forEach(({ red, green, blue, gain, bias }, c) => floats.set([red, green, blue, gain, bias], 8 * c));
    ints.set([out.width, out.height, kept.width, kept.height, planes, spec.layout === 'nhwc' ? 1 : 0, count], 24);
    floats[31] = spec.padValue;
    const uniform = this.filled(new Uint8Array(params), GPUBufferUsage.UNIFORM);
    const tables = [rows, columns].map((taps) => this.filled(tapTable(taps), GPUBufferUsage.STORAGE));
    /** @type {WeakMap<GPUTexture, WeakMap<GPUBuffer, GPUBindGroup>>} */
    const groups = new WeakMap();
    return {
      texels: Math.ceil(count / 4), buffers: [uniform, ...tables],
      group: (texture, target) => {
        const own = groups.get(texture) ?? new WeakMap(), known = own.get(target);
        if (known) return known;
        const resources = [...[uniform, ...tables].map((buffer) => ({ buffer })), texture.createView(), { buffer: target }];
        const made = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries: resources.map((resource, binding) => ({ binding, resource })) });
        groups.set(texture, own.set(target, made));
        return made;
      },
    };
  }

  /** @param {ArrayBufferView} data @param {number} usage @returns {GPUBuffer} */
  filled(data, usage) {
    const buffer = this.allocate({ size: Math.ceil(data.byteLength / 16) * 16, usage, mappedAtCreation: true });
    new Uint8Array(buffer.getMappedRange()).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    buffer.unmap();
    return buffer;
  }

  dispose() {
    for (const texture of [...this.held]) this.drop(texture);
    this.rules.clear();
    this.idle = [];
  }
}

/** A texel per output (first input, taps, where its weights begin), then the weights. @param {Taps} taps */
function tapTable({ start, count, weight }) {
  const n = start.length, out = new Float32Array(4 * n + Math.ceil(weight.length / 4) * 4);
  for (let i = 0, at = 0; i < n; at += count[i++]) out.set([start[i], count[i], at], 4 * i);
  out.set(weight, 4 * n);
  return out;
}
