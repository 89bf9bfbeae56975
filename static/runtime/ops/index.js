// Every operator type and the family that computes it. Families load when a model needs them.
import { normal } from './dtype.js';

/** @typedef {import('./node.js').Rule} Rule */
/** @typedef {import('./node.js').Lower} Lower */
/** @typedef {{rule: Rule, lower: Lower, layout?: import('./node.js').LayoutRule}} OpDef layout: plain where there is none */
/** @typedef {{rules: Record<string, Rule>}} Contract */
/** @typedef {{lower: Record<string, Lower>, layouts?: Record<string, import('./node.js').LayoutRule>}} Lowering */
/** @typedef {{type: string, reason: string, where: string}} Problem */

/** @type {Record<string, string[]>} family → types */
const TYPES = {
  conv: ['conv2d', 'conv2d_transpose'],
  pool: ['pool2d'],
  matmul: ['fc', 'matmul_v2'],
  unary: [
    'relu', 'relu6', 'sigmoid', 'tanh', 'silu', 'swish', 'hard_swish', 'hard_sigmoid', 'leaky_relu', 'elu', 'gelu', 'mish',
    'softplus', 'exp', 'log', 'sqrt', 'rsqrt', 'square', 'abs', 'floor', 'ceil', 'round', 'sign', 'reciprocal', 'sin',
    'cos', 'erf', 'clip', 'pow', 'logical_not', 'scale', 'cast', 'softsign', 'tanh_shrink', 'softshrink', 'hard_shrink',
    'thresholded_relu', 'logsigmoid', 'celu', 'selu', 'stanh', 'expm1', 'log1p', 'log2', 'log10', 'tan', 'asin', 'acos',
    'atan', 'sinh', 'cosh', 'asinh', 'acosh', 'atanh', 'bitwise_not', 'isnan_v2', 'isinf_v2', 'isfinite_v2',
  ],
  binary: [
    'elementwise_add', 'elementwise_sub', 'elementwise_mul', 'elementwise_div', 'elementwise_max', 'elementwise_min',
    'elementwise_pow', 'elementwise_mod', 'elementwise_floordiv', 'elementwise_fmax', 'elementwise_fmin', 'atan2',
    'bitwise_and', 'bitwise_or', 'bitwise_xor', 'equal', 'not_equal', 'less_than', 'less_equal',
    'greater_than', 'greater_equal', 'logical_and', 'logical_or', 'logical_xor',
  ],
  norm: ['batch_norm', 'layer_norm', 'instance_norm', 'group_norm', 'prelu'],
  softmax: ['softmax', 'log_softmax'],
  reduce: [
    'reduce_mean', 'reduce_sum', 'reduce_max', 'reduce_min', 'reduce_prod', 'reduce_all', 'reduce_any', 'arg_max', 'arg_min',
  ],
  layout: [
    'assign', 'reshape2', 'squeeze2', 'unsqueeze2', 'flatten2', 'flatten_contiguous_range', 'transpose2', 'expand_v2',
    'tile', 'slice', 'strided_slice', 'pixel_shuffle', 'concat', 'stack', 'split', 'flip', 'roll', 'pixel_unshuffle',
    'channel_shuffle', 'temporal_shift', 'pad', 'repeat_interleave', 'meshgrid', 'set_value',
  ],
  gather: ['gather', 'lookup_table_v2', 'pad3d'],
  scatter: ['gather_nd', 'take_along_axis', 'put_along_axis', 'scatter', 'scatter_nd_add', 'one_hot_v2'],
  sort: ['argsort', 'top_k_v2', 'cumsum', 'cumprod'],
  where: ['where', 'tril_triu'],
  resize: ['nearest_interp_v2', 'bilinear_interp_v2', 'bicubic_interp_v2'],
  sample: ['grid_sampler', 'deformable_columns'],
  recurrent: ['rnn', 'lstm', 'gru'],
  detect: [
    'prior_box', 'anchor_generator', 'box_coder', 'yolo_box', 'roi_align', 'multiclass_nms', 'multiclass_nms3', 'matrix_nms', 'nms',
    'generate_proposals_v2', 'distribute_fpn_proposals', 'collect_fpn_proposals', 'roi_pool',
  ],
  pick: ['where_index', 'masked_select', 'unique', 'ctc_align', 'crf_decoding'],
  control: ['while', 'if', 'write_to_array'],
  quant: [
    'quantize_linear', 'dequantize_linear', 'conv2d_int8', 'fc_int8', 'add_int8', 'mul_int8', 'max_pool_int8', 'mean_int8',
    'resize_int8',
  ],
  constant: ['shape', 'fill_constant', 'fill_constant_batch_size_like', 'assign_value', 'range', 'linspace'],
};

/** @type {Record<string, [() => Promise<Contract>, () => Promise<Lowering>]>} family → contract and WASM lowering */
const FAMILIES = {
  conv: [() => import('./conv/index.js'), () => import('./conv/wasm.js')],
  pool: [() => import('./pool/index.js'), () => import('./pool/wasm.js')],
  matmul: [() => import('./matmul/index.js'), () => import('./matmul/wasm.js')],
  unary: [() => import('./unary/index.js'), () => import('./unary/wasm.js')],
  binary: [() => import('./binary/index.js'), () => import('./binary/wasm.js')],
  norm: [() => import('./norm/index.js'), () => import('./norm/wasm.js')],
  softmax: [() => import('./softmax/index.js'), () => import('./softmax/wasm.js')],
  reduce: [() => import('./reduce/index.js'), () => import('./reduce/wasm.js')],
  layout: [() => import('./layout/index.js'), () => import('./layout/wasm.js')],
  gather: [() => import('./gather/index.js'), () => import('./gather/wasm.js')],
  scatter: [() => import('./scatter/index.js'), () => import('./scatter/wasm.js')],
  sort: [() => import('./sort/index.js'), () => import('./sort/wasm.js')],
  where: [() => import('./where/index.js'), () => import('./where/wasm.js')],
  resize: [() => import('./resize/index.js'), () => import('./resize/wasm.js')],
  sample: [() => import('./sample/index.js'), () => import('./sample/wasm.js')],
  recurrent: [() => import('./recurrent/index.js'), () => import('./recurrent/wasm.js')],
  detect: [() => import('./detect/index.js'), () => import('./detect/wasm.js')],
  pick: [() => import('./pick/index.js'), async () => ({ lower: {} })], // on the host alone
  control: [() => import('./control/index.js'), async () => ({ lower: {} })],
  quant: [() => import('./quant/index.js'), () => import('./quant/wasm.js')],
  constant: [() => import('./constant/index.js'), () => import('./constant/wasm.js')],
};

/** @type {Map<string, string>} */
const FAMILY_OF = new Map(Object.entries(TYPES).flatMap(([family, types]) => types.map((type) => /** @type {const} */ ([type, family]))));

/** All operator types that this runtime computes. @returns {string[]} */
export const operatorTypes = () => [...FAMILY_OF.keys()];

/**
 * The definitions of those of the types that exist; their families are fetched together.
 * @param {Iterable<string>} types
 * @returns {Promise<Map<string, OpDef>>}
 */
export async function loadOperators(types) {
  /** @type {Map<string, string[]>} */
  const wanted = new Map();
  for (const type of new Set(types)) {
    const family = FAMILY_OF.get(type);
    if (family) wanted.set(family, [...(wanted.get(family) ?? []), type]);
  }
  /** @type {Map<string, OpDef>} */
  const found = new Map();
  await Promise.all([...wanted].map(async ([family, members]) => {
    const [contract, lowering] = await Promise.all(FAMILIES[family].map((load) => load()));
    const { rules } = /** @type {Contract} */ (contract), { lower, layouts = {} } = /** @type {Lowering} */ (lowering);
    for (const type of members) found.set(type, { rule: rules[type], lower: lower[type], layout: layouts[type] });
  }));
  return found;
}

/**
 * Why one operator cannot be run; an empty list where it can.
 * @param {import('../manifest.js').Op} op
 * @param {OpDef|undefined} def
 * @param {(name: string) => string|undefined} dtypeOf element type of a value, where it is known
 * @returns {string[]}
 */
export function problemsOf(op, def, dtypeOf) {
  if (!def) return ['this operator is not supported'];
  const { attrs, types, check } = def.rule;
  const missing = attrs.filter((name) => !Object.hasOwn(op.attrs, name)).map((name) => `attribute ${name} is missing`);
  const unknown = Object.keys(op.attrs).filter((name) => !attrs.includes(name)).map((name) => `attribute ${name} is unknown`);
  const refused = missing.length || !check ? '' : checked(check, op);
  return [...missing, ...unknown, ...(refused ? [`${refused} is not supported`] : []), ...slotProblems(op, types, dtypeOf)];
}

/**
 * An operator's own check; a list where it expects a number, or the like, is a reason too.
 * @param {(op: {attrs: Record<string, any>}) => string} check @param {import('../manifest.js').Op} op
 */
function checked(check, op) {
  try {
    return check(op);
  } catch (error) {
    if (error instanceof TypeError) return `attributes of the wrong kind (${error.message})`;
    throw error;
  }
}

/**
 * @param {import('../manifest.js').Op} op
 * @param {Record<string, string[]>} types
 * @param {(name: string) => string|undefined} dtypeOf
 * @returns {string[]}
 */
function slotProblems(op, types, dtypeOf) {
  /** @type {string[]} */
  const problems = [];
  for (const [slot, names] of Object.entries(op.inputs)) {
    const key = [slot, `${slot}?`].find((known) => Object.hasOwn(types, known)), allowed = key && types[key];
    if (!allowed && names.length) problems.push(`input ${slot} is unknown`);
    for (const name of allowed ? names : []) {
      const dtype = dtypeOf(name);
      if (dtype !== undefined && !allowed?.includes(normal(dtype))) problems.push(`input ${slot} of type ${dtype} is not supported`);
    }
  }
  for (const slot of Object.keys(types)) {
    if (!slot.endsWith('?') && !op.inputs[slot]?.length) problems.push(`input ${slot} is missing`);
  }
  return problems;
}
