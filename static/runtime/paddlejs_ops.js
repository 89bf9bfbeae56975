// Operators of a Paddle.js package -> the runtime's: Paddle's names and defaults, complete attributes.
// The original runtime has defaults of its own for some; the models were trained with Paddle's, so those hold.
import { InPageError } from './errors.js';
import { DETECTORS } from './paddlejs_detect.js';
import { Reader } from './paddlejs_reader.js';

/** @typedef {import('./manifest.js').Op} Op */
/** @typedef {import('./paddlejs_reader.js').RawOp} RawOp */
/** @typedef {import('./paddlejs_reader.js').Defaults} Defaults */
/** @typedef {{type: string, inputs?: Record<string, string[]>, attrs: Record<string, any>, slots?: string[]}} Step inputs:
 *   where they differ from what the operator reads; a further step reads the step before it as X; slots: of several
 *   results, in the runtime's order */
/** @typedef {(op: Reader) => any} Handler gives a Step or several */

/** @param {string} type @param {Defaults} [defaults] @param {string[]} [meaningless] @returns {Handler} */
function plain(type, defaults = {}, meaningless = []) {
  return (op) => {
    op.skip(...meaningless);
    return { type, attrs: op.takeAll(defaults) };
  };
}

/** An activation that a former optimiser put into the operator. @param {Reader} op */
function fusedActivation(op) {
  let { fuse_activation: type, fuse_alpha: alpha, fuse_beta: beta } = op.takeAll({
    fuse_activation: '', fuse_alpha: 0, fuse_beta: 0,
  });
  const bounded = op.take('fuse_brelu', false), bound = op.take('fuse_brelu_threshold', 6), relu = op.take('fuse_relu', false);
  if (bounded) [type, alpha, beta] = ['relu6', bound, 0];
  else if (relu && !type) [type, alpha, beta] = ['relu', 0, 0];
  const known = { hardswish: 'hard_swish', hardsigmoid: 'hard_sigmoid' };
  return { fuse_activation: known[/** @type {keyof known} */ (type)] ?? type, fuse_alpha: alpha, fuse_beta: beta };
}

const NO_ACTIVATION = { fuse_activation: '', fuse_alpha: 0, fuse_beta: 0 };

/** Strides, and paddings as [top, bottom, left, right]. @param {Reader} op */
function window(op) {
  const strides = op.pair('strides', [1, 1]), given = op.list('paddings', [0, 0]);
  const algorithm = op.take('padding_algorithm', 'EXPLICIT');
  if (!['EXPLICIT', 'SAME', 'VALID'].includes(algorithm)) op.fail(`padding algorithm ${algorithm} is not known`);
  if (![1, 2, 4].includes(given.length)) op.fail(`paddings [${given}] must have two or four elements`);
  const [y, x = y] = given;
  const paddings = algorithm !== 'EXPLICIT' ? [0, 0, 0, 0] : given.length === 4 ? given : [y, y, x, x];
  return { strides, paddings, padding_algorithm: algorithm === 'SAME' ? 'SAME' : 'EXPLICIT' };
}

/** @type {Handler} */
function conv(op) {
  const transposed = op.type.includes('transpose');
  const attrs = window(op), dilations = op.pair('dilations', [1, 1]);
  const groups = op.take('groups', 1) || 1;
  if (op.rank('Filter') !== 4) op.fail(`needs a filter of four dimensions among the weights, not ${op.rank('Filter')}`);
  return {
    type: transposed ? 'conv2d_transpose' : 'conv2d',
    attrs: {
      ...attrs, dilations: attrs.padding_algorithm === 'SAME' ? [1, 1] : dilations, groups,
      data_format: op.layout('data_format'), ...fusedActivation(op),
      ...(transposed ? op.takeAll({ output_padding: [], output_size: [] }) : {}),
    },
  };
}

/** @type {Handler} */
function pool(op) {
  const type = op.take('pooling_type', 'max'), ksize = op.pair('ksize', [1, 1]);
  return {
    type: 'pool2d',
    attrs: {
      pooling_type: op.type === 'pool2d' ? type : 'max', ksize, ...window(op),
      ...op.takeAll({ ceil_mode: false, exclusive: true, adaptive: false, global_pooling: false }),
      data_format: op.layout('data_format'),
    },
  };
}

/** @type {Handler} */
function batchNorm(op) {
  const relu = op.take('fuse_with_relu', false);
  const norm = { type: 'batch_norm', attrs: { epsilon: op.take('epsilon', 1e-5), data_layout: op.layout('data_layout', 'data_format') } };
  return relu ? [norm, { type: 'relu', attrs: {} }] : norm;
}

/** @type {Handler} */
const binary = (op) => ({ type: op.type, attrs: { axis: op.take('axis', -1), ...fusedActivation(op) } });

/** The fully connected layer of Paddle 1. @type {Handler} */
function mul(op) {
  const columns = op.take('x_num_col_dims', 1), rows = op.take('y_num_col_dims', 1);
  if (rows !== 1 || op.rank('Y') !== 2) op.fail('needs a second factor of two dimensions among the weights');
  const { X, Y, ...others } = op.inputs;
  return { type: 'fc', inputs: { Input: X, W: Y, ...others }, attrs: { in_num_col_dims: columns, ...NO_ACTIVATION } };
}

/** @type {Handler} */
function fc(op) {
  const columns = op.take('in_num_col_dims', op.take('x_num_col_dims', 1)), type = op.take('activation_type', '');
  op.skip('x_num_col_dims', 'y_num_col_dims');
  const fused = fusedActivation(op);
  return { type: 'fc', attrs: { in_num_col_dims: columns, ...fused, ...(type ? { fuse_activation: type } : {}) } };
}

/** @type {Handler} */
function matmul(op) {
  const alpha = op.take('alpha', 1), old = op.type === 'matmul';
  for (const name of [...op.attrs.keys()]) {
    if (/^fused_(reshape|transpose)/.test(name) && !op.attrs.get(name)?.length) op.skip(name);
  }
  const attrs = {
    trans_x: op.take(old ? 'transpose_X' : 'trans_x', false), trans_y: op.take(old ? 'transpose_Y' : 'trans_y', false),
  };
  const product = { type: 'matmul_v2', attrs };
  return alpha === 1 ? product : [product, { type: 'scale', attrs: { scale: alpha, bias: 0, bias_after_scale: true } }];
}

/** Old packages put the second tensor into a slot of its own. @type {Handler} */
function concat(op) {
  const { X = [], Y = [], ...others } = op.inputs;
  return { type: 'concat', inputs: { X: [...X, ...Y], ...others }, attrs: { axis: op.take('axis', 0) } };
}

/** @type {Handler} */
function split(op) {
  const axis = op.take('axis', 0), sections = op.list('sections', []), num = op.take('num', 0);
  return { type: 'split', attrs: { axis, num: sections.length ? 0 : num, sections } };
}

/** @type {Handler} */
function dropout(op) {
  const mode = op.take('dropout_implementation', 'downgrade_in_infer'), rate = op.take('dropout_prob', 0.5);
  op.skip('seed', 'fix_seed');
  if (mode === 'upscale_in_train') return { type: 'assign', attrs: {} };
  return { type: 'scale', attrs: { scale: 1 - rate, bias: 0, bias_after_scale: true } };
}

/** @type {Handler} */
function reshape(op) {
  const shape = op.take('new_shape', op.take('shape', []));
  op.skip('shape');
  return { type: 'reshape2', attrs: { shape } };
}

/** @type {Handler} */
const squeeze = (op) => ({ type: `${op.type.replace(/2$/, '')}2`, attrs: { axes: op.list('axes', []) } });

/** @type {Handler} */
function resize(op) {
  op.skip('interp_method', 'out_d');
  const first = !op.type.endsWith('_v2');
  let scale = op.list('scale', []).filter((factor) => factor > 0);
  if (scale.length === 1) scale = [scale[0], scale[0]];
  let size = [op.take('out_h', -1), op.take('out_w', -1)];
  // Paddle 1 steps by in/out, Paddle 2 by 1/scale: the same for whole factors only, and the input's size is not known here.
  if (first && scale.some((factor) => !Number.isInteger(factor))) op.fail(`a fractional scale [${scale}] is not supported`);
  if (scale.length) size = [-1, -1]; // Paddle lets the scale win
  return {
    type: first ? `${op.type}_v2` : op.type,
    attrs: {
      out_h: size[0], out_w: size[1], scale, ...op.takeAll({ align_corners: true, align_mode: 1 }),
      data_layout: op.layout('data_layout', 'data_format'),
    },
  };
}

/** The old runtime's reductions take one `axis`, Paddle's a list. @type {Handler} */
function reduce(op) {
  const axis = op.take('axis');
  const axes = op.list('dim', axis === undefined ? [] : axis);
  const all = op.take('reduce_all', false) || !axes.length;
  op.skip('in_dtype', 'out_dtype');
  return { type: op.type, attrs: { dim: axes.length ? axes : [0], keep_dim: op.take('keep_dim', false), reduce_all: all } };
}

/** @type {Handler} */
const arg = (op) => ({
  type: op.type, attrs: { ...op.takeAll({ axis: -1, keepdims: false, flatten: false }), dtype: op.dtype('dtype', 'int64') },
});

/** All become pad3d: [left, right, top, bottom, front, back]. @type {Handler} */
function pad(op) {
  const given = op.list('paddings', []), last = op.take('data_format', 'NCHW').endsWith('C');
  const value = op.take('value', op.take('pad_value', 0)), mode = op.take('mode', 'constant');
  op.skip('pad_value');
  const [top, bottom, left, right] = given;
  const paddings = op.type === 'pad2d' ? [left, right, top, bottom, 0, 0] : given;
  if (paddings.length !== 6) op.fail(`paddings [${given}] are not understood`);
  const rank5 = op.rank('X') === 5;
  return {
    type: 'pad3d',
    attrs: {
      paddings, mode: mode === 'edge' ? 'replicate' : mode, value: Number(value),
      data_format: rank5 ? (last ? 'NDHWC' : 'NCDHW') : (last ? 'NHWC' : 'NCHW'),
    },
  };
}

/** @type {Handler} */
function slice(op) {
  op.skip('infer_flags');
  return { type: op.type, attrs: op.takeAll({
    axes: [], starts: [], ends: [], ...(op.type === 'slice' ? {} : { strides: [] }), decrease_axis: [],
  }) };
}

/** @type {Handler} */
const cast = (op) => {
  op.skip('in_dtype');
  return { type: 'cast', attrs: { out_dtype: op.dtype('out_dtype', 'float32') } };
};

/** @type {Handler} */
const fillLikeBatch = (op) => {
  const text = op.take('str_value', ''), value = op.take('value', 0);
  return { type: op.type, attrs: {
    shape: op.list('shape', []), value: text ? Number(text) : value, dtype: op.dtype('dtype', 'float32'),
    ...op.takeAll({ input_dim_idx: 0, output_dim_idx: 0 }),
  } };
};

/** @param {string[]} types @param {(type: string) => Handler} make @returns {Record<string, Handler>} */
const each = (types, make) => Object.fromEntries(types.map((type) => [type, make(type)]));

/** @type {Record<string, Handler>} type in the package → how it becomes ours */
export const HANDLERS = {
  ...each(['conv2d', 'depthwise_conv2d', 'conv2d_transpose', 'depthwise_conv2d_transpose'], () => conv),
  ...each(['pool2d', 'max_pool2d_with_index'], () => pool),
  ...each(['batchnorm', 'batch_norm', 'sync_batch_norm'], () => batchNorm),
  ...each(['add', 'sub', 'mul', 'div', 'max', 'min', 'pow', 'mod', 'floordiv'].map((name) => `elementwise_${name}`), () => binary),
  ...each(['relu', 'sigmoid', 'tanh', 'silu', 'exp', 'log', 'sqrt', 'rsqrt', 'square', 'abs', 'floor', 'ceil', 'round',
    'sign', 'reciprocal', 'sin', 'cos', 'erf', 'logical_not', 'assign'], (type) => plain(type)),
  mish: plain('mish', {}, ['lambda', 'threshold']),
  relu6: plain('relu6', { threshold: 6 }),
  swish: plain('swish', { beta: 1 }),
  hard_swish: plain('hard_swish', { threshold: 6, scale: 6, offset: 3 }),
  hard_sigmoid: plain('hard_sigmoid', { slope: 0.2, offset: 0.5 }),
  leaky_relu: plain('leaky_relu', { alpha: 0.02 }),
  leakyRelu: plain('leaky_relu', { alpha: 0.02 }),
  elu: plain('elu', { alpha: 1 }),
  gelu: plain('gelu', { approximate: false }),
  softplus: plain('softplus', { beta: 1, threshold: 20 }),
  clip: plain('clip', { min: -Infinity, max: Infinity }),
  pow: plain('pow', { factor: 1 }),
  scale: plain('scale', { scale: 1, bias: 0, bias_after_scale: true }),
  softmax: plain('softmax', { axis: -1 }, ['data_format']),
  log_softmax: plain('log_softmax', { axis: -1 }),
  prelu: plain('prelu', { mode: 'all', data_format: 'NCHW' }),
  pixel_shuffle: plain('pixel_shuffle', { upscale_factor: 1, data_format: 'NCHW' }),
  ...each(['layer_norm'], (type) => plain(type, { epsilon: 1e-5, begin_norm_axis: 1 })),
  instance_norm: plain('instance_norm', { epsilon: 1e-5 }),
  ...each(['flatten', 'flatten2'], () => plain('flatten2', { axis: 1 })),
  flatten_contiguous_range: plain('flatten_contiguous_range', { start_axis: 1, stop_axis: 1 }),
  ...each(['transpose', 'transpose2'], () => plain('transpose2', { axis: [] }, ['data_format'])),
  ...each(['reshape', 'reshape2'], () => reshape),
  ...each(['squeeze', 'squeeze2', 'unsqueeze', 'unsqueeze2'], () => squeeze),
  stack: plain('stack', { axis: 0 }),
  expand_v2: plain('expand_v2', { shape: [] }),
  tile: plain('tile', { repeat_times: [] }),
  gather: plain('gather', { axis: 0 }, ['overwrite']),
  ...each(['slice', 'strided_slice'], () => slice),
  ...each(['nearest_interp', 'bilinear_interp', 'nearest_interp_v2', 'bilinear_interp_v2'], () => resize),
  ...each(['mean', 'sum', 'max', 'min', 'prod', 'any', 'all'].map((name) => `reduce_${name}`), () => reduce),
  ...each(['arg_max', 'arg_min'], () => arg),
  ...each(['pad2d', 'pad3d'], () => pad),
  fill_constant_batch_size_like: fillLikeBatch,
  mul, fc, matmul, matmul_v2: matmul, concat, split, dropout, cast, ...DETECTORS,
};

/**
 * @param {RawOp} raw
 * @param {Map<string, number[]>} shapes of weights and inputs
 * @returns {Op[]} an operator that nothing here knows as it stands: the engine names it among all that it cannot run
 * @throws {InPageError} invalid_model where an attribute cannot be what it says
 */
export function canonical(raw, shapes) {
  const handler = Object.hasOwn(HANDLERS, raw.type) ? HANDLERS[raw.type] : null;
  const op = new Reader(raw, shapes);
  const made = handler ? handler(op) : { type: raw.type, attrs: op.takeAll(raw.attrs) };
  const left = handler ? op.left() : [];
  if (left.length) op.fail(`attributes ${left.join(', ')} are not known`);
  const steps = /** @type {Step[]} */ (Array.isArray(made) ? made : [made]);
  const outputs = steps[0].slots ? severalOutputs(raw, steps[0].slots) : mainOutputs(raw);
  let current = '';
  return steps.map(({ type, inputs, attrs }, i) => {
    const reads = i ? { X: [current] } : inputs ?? raw.inputs;
    current = i === steps.length - 1 ? '' : `${outputs[0]}.${type}`;
    return { type, inputs: reads, outputs: { Out: current ? [current] : outputs }, attrs };
  });
}

/** One name per slot: a result that the package leaves out gets a name of its own. @param {RawOp} raw @param {string[]} slots */
function severalOutputs(raw, slots) {
  const [first] = mainOutputs(raw);
  return slots.map((slot) => raw.outputs[slot]?.[0] ?? `${first}.${slot}`);
}

/** @param {RawOp} raw @returns {string[]} */
function mainOutputs({ outputs, where }) {
  const slot = ['Out', 'Output', 'Y'].find((name) => outputs[name]?.length) ?? Object.keys(outputs)[0];
  if (!slot) throw new InPageError('invalid_model', 'It has no output', { where });
  return outputs[slot];
}
