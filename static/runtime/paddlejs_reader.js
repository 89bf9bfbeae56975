// One operator of a Paddle.js package, being read: its attributes are taken one by one, and what nobody takes is reported.
import { InPageError } from './errors.js';

/** @typedef {{type: string, inputs: Record<string, string[]>, outputs: Record<string, string[]>,
 *   attrs: Record<string, any>, where: string}} RawOp as stored; where: for messages */
/** @typedef {Record<string, any>} Defaults attribute → Paddle's default */

/** Attributes that steer training, devices, quantisation tools or debugging and never change a result. */
const IGNORED = new Set(`
  op_role op_role_var op_namescope op_callstack op_device with_quant_attr is_test use_cudnn use_mkldnn use_quantizer
  mkldnn_data_type exhaustive_search workspace_size_MB force_fp32_output use_addto struct_name Scale_in
  Scale_in_eltwise Scale_out Scale_weights Scale_x Scale_y scale_x scale_y scale_out x_data_format y_data_format
  fuse_relu_before_depthwise_conv fuse_residual_connection op_type is_training place stop_gradient persistable
  quantization_type skip_quant name_scope use_onednn fused_output_scale trainable_statistics momentum use_global_stats
  use_cudnn_for_depthwise ALL_KERNELS_MUST_COMPUTE_RUNTIME_SHAPE padding_weights head_number force_cpu`
  .trim().split(/\s+/));

const DTYPES = ['bool', 'int16', 'int32', 'int64', 'float16', 'float32', 'float64']; // by Paddle's number
const HELD = new Map([['int16', 'int32'], ['float16', 'float32'], ['float64', 'float32']]); // as the runtime holds them

export class Reader {
  /** @param {RawOp} raw @param {Map<string, number[]>} shapes of weights and inputs */
  constructor({ type, inputs, outputs, attrs, where }, shapes) {
    this.type = type;
    this.inputs = inputs;
    this.outputs = outputs;
    this.where = where;
    this.shapes = shapes;
    this.attrs = new Map(Object.entries(attrs));
  }

  /** Takes an attribute. @param {string} name @param {any} [otherwise] @returns {any} */
  take(name, otherwise) {
    const value = this.attrs.get(name) ?? otherwise;
    this.attrs.delete(name);
    return value;
  }

  /** Takes attributes that mean nothing here. @param {string[]} names */
  skip(...names) {
    for (const name of names) this.attrs.delete(name);
  }

  /** Takes one attribute per default. @param {Defaults} defaults @returns {Record<string, any>} */
  takeAll(defaults) {
    return Object.fromEntries(Object.entries(defaults).map(([name, value]) => [name, this.take(name, value)]));
  }

  /** @param {string} name @param {number|number[]} otherwise @returns {number[]} a list, also where one number stands */
  list(name, otherwise) {
    const value = this.take(name, otherwise);
    return (Array.isArray(value) ? value : [value]).map(Number);
  }

  /** @param {string} name @param {number[]} otherwise @returns {number[]} two numbers, from two or one */
  pair(name, otherwise) {
    const values = this.list(name, otherwise);
    if (values.length !== 1 && values.length !== 2) this.fail(`${name} [${values}] must have two elements`);
    return values.length === 1 ? [values[0], values[0]] : values;
  }

  /** "AnyLayout" is how old programs spell the default. @param {string[]} names @returns {'NCHW'|'NHWC'} */
  layout(...names) {
    const given = names.map((name) => this.take(name)).find((value) => value) ?? 'NCHW';
    if (!['NCHW', 'NHWC', 'AnyLayout'].includes(given)) this.fail(`data format ${given} is not supported`);
    return given === 'NHWC' ? 'NHWC' : 'NCHW';
  }

  /** @param {string} name @param {string} otherwise @returns {string} an element type that the runtime holds */
  dtype(name, otherwise) {
    const value = this.take(name, otherwise);
    const dtype = typeof value === 'number' ? DTYPES[value] : value;
    if (typeof dtype !== 'string') this.fail(`element type ${value} is not known`);
    return HELD.get(dtype) ?? dtype;
  }

  /** @param {string} slot @returns {number} rank of what a slot reads; 0 where only the run tells */
  rank(slot) {
    return this.shapes.get(this.inputs[slot]?.[0])?.length ?? 0;
  }

  /** Attributes that nobody took and that may matter. @returns {string[]} */
  left() {
    return [...this.attrs.keys()].filter((name) => !IGNORED.has(name)).sort();
  }

  /** @param {string} what @returns {never} */
  fail(what) {
    throw new InPageError('invalid_model', what, { where: this.where });
  }
}
