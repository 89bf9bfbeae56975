// The operators of a Paddle.js package in an order that can be run: early fused types taken apart
// ("conv2d-elementwise_add-leaky_relu" with "sub-attrs"), activations out of fuse_opt and act_type, `connect` resolved.
import { InPageError } from './errors.js';

/** @typedef {import('./paddlejs_reader.js').RawOp} RawOp */

export const AGAIN = 'convert the original model instead: python -m converter MODEL -o BUNDLE';
const SKIPPED_OUTPUTS = new Set(['XShape', 'SavedMean', 'SavedVariance', 'MeanOut', 'VarianceOut', 'Mask']);

/** @param {string} what @param {string} [where] @returns {never} */
export function refuse(what, where = '') {
  throw new InPageError('invalid_model', what, { where: where ? `model.json: ${where}` : 'model.json', hint: AGAIN });
}

/** One entry of "ops" -> one operator, or a chain where it is fused. @param {any} op @param {number} index @returns {RawOp[]} */
export function unfuse(op, index) {
  const type = String(op.type), inputs = named(op.inputs ?? {}), outputs = named(op.outputs ?? {});
  for (const slot of Object.keys(outputs)) if (SKIPPED_OUTPUTS.has(slot)) delete outputs[slot];
  const where = `${type} (${Object.values(outputs).flat()[0] ?? `ops[${index}]`})`;
  if (type === 'feed' || type === 'fetch') return [{ type, inputs, outputs, attrs: {}, where }];
  const types = type.split('-'), given = op['sub-attrs'] ?? [op.attrs ?? {}];
  if (given.length !== types.length) refuse(`it fuses ${types.length} operators but has ${given.length} sets of attributes`, where);
  const steps = types.map((part, i) => ({ type: part, attrs: { ...given[i] } }));
  steps.push(...activations(steps[steps.length - 1].attrs, where));
  return steps.length === 1 ? [{ type, inputs, outputs, attrs: steps[0].attrs, where }] : chain(steps, inputs, outputs, where);
}

/** Slots with names in them; postOps say {name, shape}. @param {Record<string, any>} slots @returns {Record<string, string[]>} */
function named(slots) {
  return Object.fromEntries(Object.entries(slots).flatMap(([slot, value]) => {
    const names = (Array.isArray(value) ? value : [value?.name]).filter((name) => name != null).map(String);
    return names.length ? [[slot, names]] : [];
  }));
}

const LITE = { hard_swish: ['hard_swish_', ['offset', 'scale', 'threshold']], leaky_relu: ['leaky_relu_', ['alpha']],
  relu6: ['fuse_brelu_', ['threshold']] };

/**
 * Takes the activation that an optimiser put into an operator: fuse_opt {type: attributes}, or act_type.
 * @param {Record<string, any>} attrs what is taken is deleted @param {string} where
 */
function activations(attrs, where) {
  let fused = attrs.fuse_opt ?? {};
  const lite = attrs.act_type;
  if (lite && !Object.keys(fused).length) {
    const [prefix, names] = /** @type {[string, string[]]} */ (LITE[/** @type {keyof typeof LITE} */ (lite)] ?? ['', []]);
    const said = names.filter((name) => `${prefix}${name}` in attrs).map((name) => [name, attrs[`${prefix}${name}`]]);
    fused = { [lite]: Object.fromEntries(said) };
  }
  for (const name of Object.keys(attrs)) {
    if (/^(fuse_opt$|act_type$|hard_swish_|leaky_relu_alpha|with_act)/.test(name)) delete attrs[name];
  }
  const types = Object.keys(fused);
  if (types.length > 1) refuse(`it carries ${types.length} fused operators (${types.sort().join(', ')}) whose order is lost`, where);
  if (types.length) for (const name of ['fuse_relu', 'fuse_brelu', 'fuse_brelu_threshold']) delete attrs[name]; // said twice
  return types.map((type) => ({ type, attrs: { ...fused[type] } }));
}

/**
 * The first step reads the entry's inputs; an elementwise step reads the running value and the next Y.
 * @param {{type: string, attrs: Record<string, any>}[]} steps @param {Record<string, string[]>} inputs
 * @param {Record<string, string[]>} outputs @param {string} where
 * @returns {RawOp[]}
 */
function chain(steps, inputs, outputs, where) {
  const reads = { ...inputs };
  const later = /^(elementwise_|mat)?mul|^elementwise_|^concat$/.test(steps[0].type) ? [] : reads.Y ?? [];
  if (later.length) delete reads.Y;
  const waiting = [...later], final = Object.values(outputs)[0][0];
  let current = '';
  const made = steps.map(({ type, attrs }, i) => {
    const out = i === steps.length - 1 ? final : `${final}.${type}.${i}`;
    /** @type {Record<string, string[]>} */
    const slots = i ? { X: [current] } : reads;
    if (i && type.startsWith('elementwise_')) {
      slots.Y = [waiting.shift() ?? refuse(`the fused ${type} has no second input`, where)];
    }
    current = out;
    return { type, inputs: slots, outputs: { Out: [out] }, attrs, where: `${type} in ${where}` };
  });
  if (waiting.length) refuse(`no fused operator reads ${waiting.join(', ')}`, where);
  return made;
}

/**
 * Operators after what they read (early packages list them out of order); `connect` becomes what it joins.
 * @param {RawOp[]} raw @param {Set<string>} ready names of weights and inputs
 * @returns {{ordered: RawOp[], fetched: string[]}}
 */
export function arrange(raw, ready) {
  const joined = new Map(raw.filter(({ type }) => type === 'connect').map(({ inputs, outputs }) => [outputs.Out[0], inputs.X]));
  const post = raw.filter(({ type }) => type.startsWith('multiclass_nms')).flatMap(({ outputs }) => outputs.Out ?? []);
  const fetches = raw.filter(({ type }) => type === 'fetch').flatMap(({ inputs }) => inputs.X);
  if (!fetches.length) refuse('it has no "fetch" operator, hence no output');
  const fetched = [...new Set(post.length ? post : fetches.flatMap((name) => joined.get(name) ?? [name]))];
  let waiting = raw.filter(({ type }) => !['feed', 'fetch', 'connect'].includes(type));
  /** @type {RawOp[]} */
  const ordered = [];
  const isReady = (/** @type {RawOp} */ op) => Object.values(op.inputs).flat().every((name) => ready.has(name));
  while (waiting.length) {
    const blocked = waiting.filter((op) => {
      if (!isReady(op)) return true;
      ordered.push(op);
      for (const name of Object.values(op.outputs).flat()) ready.add(name);
      return false;
    });
    if (blocked.length === waiting.length) refuseMissing(blocked, ready);
    waiting = blocked;
  }
  const lost = fetched.filter((name) => !ready.has(name));
  if (lost.length) refuse(`nothing computes the outputs ${lost.join(', ')}`);
  return { ordered, fetched };
}

/** @param {RawOp[]} blocked @param {Set<string>} ready @returns {never} */
function refuseMissing(blocked, ready) {
  const made = new Set(blocked.flatMap(({ outputs }) => Object.values(outputs).flat()));
  const missing = blocked.flatMap(({ inputs, where }) => Object.values(inputs).flat()
    .filter((name) => !ready.has(name) && !made.has(name)).map((name) => `"${name}", read by ${where}`));
  if (!missing.length) refuse(`the operators read each other in a circle: ${blocked.slice(0, 5).map(({ where }) => where).join(', ')}`);
  refuse(`nothing computes and no weight is called ${missing.join('; ')}`);
}
