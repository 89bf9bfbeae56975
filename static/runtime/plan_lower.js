// Second half of planning: memory for every value, and operators → steps with resolved numbers.
import { InPageError } from './errors.js';
import { BYTES, elements } from './ops/dtype.js';
import { stored, UnsupportedError } from './ops/node.js';
import { layOutValues } from './plan_layout.js';
import { ALIGN, layOut } from './plan_memory.js';

/** @typedef {import('./ops/node.js').Value} Value */
/** @typedef {import('./ops/node.js').Block} Block */
/** @typedef {import('./ops/node.js').Arg} Arg */
/** @typedef {import('./ops/node.js').OpNode} OpNode */
/** @typedef {import('./plan.js').Plan} Plan */
/** @typedef {import('./plan.js').Planned} Planned */
/** @typedef {import('./plan.js').Ref} Ref */
/** @typedef {import('./plan.js').StepArg} StepArg */
/** @typedef {import('./plan_memory.js').ArenaBlock} ArenaBlock */
/** @typedef {import('./ops/dtype.js').Elements} Elements */

const FOREVER = Number.MAX_SAFE_INTEGER;
export const MAX_PARTS = 16; // of one step

/** Collects the steps of one plan. Lowerings see it as their Emitter. */
class Lowering {
  constructor() {
    /** @type {{kernel: string, args: Arg[], where: string, work: number}[]} */
    this.steps = [];
    this.maxParts = MAX_PARTS;
    /** @type {Set<ArenaBlock>} */
    this.arena = new Set();
    /** @type {{bytes: number, array: Elements, at: number}[]} */
    this.constants = [];
    /** @type {Map<string, import('./plan.js').Resident>} */
    this.weights = new Map();
    /** @type {Map<Block, number>} */
    this.dataAt = new Map();
    this.dataBytes = 0;
    this.index = 0;
    /** @type {OpNode|null} */
    this.node = null;
  }

  /** @param {number} bytes @param {number} first @returns {ArenaBlock} */
  block(bytes, first) {
    /** @type {ArenaBlock} */
    const block = { kind: 'arena', bytes, key: '', first, last: first, into: null, at: 0 };
    this.arena.add(block);
    return block;
  }

  /** Where a value lives; host values become constants when a step asks for them. @param {Value} value @returns {Block} */
  placeOf(value) {
    if (!value.block) {
      if (!value.host) throw new TypeError(`${value.name} has no place`);
      value.block = this.data(elements(value.host, value.dtype));
    }
    return value.block;
  }

  /** @param {string} kernel @param {Arg[]} args @param {number} [work] */
  emit(kernel, args, work = 0) {
    this.steps.push({ kernel, args, where: this.node?.where ?? '', work });
  }

  /** @param {number} bytes @returns {Block} */
  scratch(bytes) {
    return this.block(bytes, this.index);
  }

  /** @param {Elements} array @returns {Block} */
  data(array) {
    /** @type {Block} */
    const block = { kind: 'data', bytes: array.byteLength, key: '' };
    this.constants.push({ bytes: array.byteLength, array, at: this.dataBytes });
    this.dataAt.set(block, this.dataBytes);
    this.dataBytes += Math.ceil(array.byteLength / ALIGN) * ALIGN;
    return block;
  }

  /** @param {Value} value @param {string} kernel @param {number} bytes @param {number[]} args @returns {Block} */
  packed(value, kernel, bytes, args) {
    if (!value.weight) throw new UnsupportedError(`its input ${value.name} must be a constant`);
    const key = `${value.name}|${kernel}|${args.join()}`;
    this.weights.set(key, { key, name: value.name, bytes, pack: { kernel, args } });
    return { kind: 'weight', bytes, key };
  }

  /** @param {Value} from @param {Value} to @returns {boolean} */
  inPlace(from, to) {
    const old = arenaOf(from), mine = arenaOf(to);
    if (!old || !mine || old === mine || from.offset || to.offset) return false;
    if (old.last !== this.index || mine.first !== this.index || old.bytes !== mine.bytes) return false;
    // another view of the same memory may be read after it is overwritten
    const inputs = Object.values(this.node?.inputs ?? {}).flat();
    if (inputs.some((value) => value !== from && arenaOf(value) === old)) return false;
    mine.into = old;
    old.last = Math.max(old.last, mine.last);
    this.arena.delete(mine);
    return true;
  }

  /** @param {Arg} arg @returns {StepArg} */
  resolve(arg) {
    if (arg === null) return 0;
    if (typeof arg === 'number' || 'f32' in arg || 'i64' in arg) return arg;
    if ('of' in arg) return this.refOf(arg.of, arg.offset);
    return this.refOf(arg, 0);
  }

  /** @param {Value|Block} place @param {number} offset @returns {Ref} */
  refOf(place, offset) {
    const block = 'kind' in place ? place : this.placeOf(place), at = offset + ('kind' in place ? 0 : place.offset);
    if (block.kind === 'arena') return { arena: follow(/** @type {ArenaBlock} */ (block)).at + at };
    if (block.kind === 'data') return { data: (this.dataAt.get(block) ?? 0) + at };
    if (!this.weights.has(block.key)) this.weights.set(block.key, { key: block.key, name: block.key, bytes: block.bytes, pack: null });
    return { weight: block.key, offset: at };
  }
}

/** The block that took over this one's memory, at the end of the chain. @param {ArenaBlock} block @returns {ArenaBlock} */
function follow(block) {
  while (block.into) block = block.into;
  return block;
}

/** @param {Value} value @returns {ArenaBlock|null} */
function arenaOf({ block }) {
  return block?.kind === 'arena' ? follow(/** @type {ArenaBlock} */ (block)) : null;
}

/**
 * @param {Planned[]} planned those that must run, in order
 * @param {import('./plan.js').Graph} graph
 * @param {Map<string, Value>} values
 * @returns {Plan}
 */
export function lowerNodes(planned, graph, values) {
  const to = new Lowering(), inputs = graph.inputs.map(({ name }) => get(values, name));
  const { nodes, outputs } = layOutValues(planned, graph.outputs.map(({ name }) => get(values, name)));
  for (const input of inputs) input.block = to.block(bytesOf(input), -1);
  placeNodes(nodes, outputs, to);
  nodes.forEach(({ node, def, aliases }, i) => {
    to.index = i;
    to.node = node;
    if (!aliases) lowerNode(node, def, to);
  });
  for (const output of outputs) to.placeOf(output);
  const arenaBytes = layOut([...to.arena]);
  const steps = to.steps.map((step) => ({ ...step, args: step.args.map((arg) => to.resolve(arg)) }));
  const port = (/** @type {Value} */ value) => (
    { name: value.name, dtype: value.dtype, shape: value.shape, at: to.refOf(value, 0), known: value.host !== null });
  return { inputs: inputs.map(port), outputs: outputs.map(port), steps, arenaBytes, data: packData(to), weights: [...to.weights.values()] };
}

/** @param {OpNode} node @param {import('./plan.js').OpDef} def @param {Lowering} to */
function lowerNode(node, def, to) {
  try {
    def.lower(node, to);
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error;
    throw new InPageError('unsupported', `Cannot plan ${node.where}: ${error.message}`, { cause: error });
  }
}

/**
 * A block for every value that lives in memory, shared by aliases, with the first and last node that uses it.
 * @param {Planned[]} nodes @param {Value[]} outputs @param {Lowering} to
 */
function placeNodes(nodes, outputs, to) {
  nodes.forEach(({ node, aliases }, i) => {
    node.outputs.forEach((out, k) => {
      const alias = aliases?.[k];
      out.block = alias ? to.placeOf(alias.of) : to.block(bytesOf(out), i);
      if (alias) out.offset = alias.of.offset + alias.elements * BYTES[out.dtype];
    });
    for (const value of [...Object.values(node.inputs).flat(), ...node.outputs]) {
      const block = arenaOf(value);
      if (block) block.last = Math.max(block.last, i);
    }
  });
  for (const output of outputs) {
    const block = arenaOf(output);
    if (block) block.last = FOREVER;
  }
}

/** @param {Value} value */
const bytesOf = (value) => stored(value) * BYTES[value.dtype];

/** @param {Map<string, Value>} values @param {string} name @returns {Value} */
function get(values, name) {
  const value = values.get(name);
  if (!value) throw new InPageError('invalid_model', `Nothing computes "${name}"`);
  return value;
}

/** @param {Lowering} to @returns {Uint8Array} */
function packData({ constants, dataBytes }) {
  const out = new Uint8Array(dataBytes);
  for (const { array, at } of constants) out.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), at);
  return out;
}
