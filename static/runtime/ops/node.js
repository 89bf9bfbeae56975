// What shape rules and lowerings see of a graph: values, operators, and the steps that operators become.

/**
 * @typedef {object} Block a piece of memory of one plan
 * @property {'arena'|'data'|'weight'} kind arena: reused between steps; data: constants of the plan; weight: resident
 * @property {number} bytes
 * @property {string} key of a weight: its name, and how it is packed
 */
/**
 * @typedef {object} Value a tensor of one plan
 * @property {string} name
 * @property {number[]} shape
 * @property {string} dtype float16 counts as float32
 * @property {number[]|null} host its elements, where they are known when the plan is made
 * @property {boolean} weight whether it is a constant of the model
 * @property {boolean} [blocked] whether it lies as [N][ceil(C/4)][H*W][4] instead of row by row
 * @property {Block|null} block where it lives, once it has a place
 * @property {number} offset bytes from the start of its block
 */
/** @typedef {{shape: number[], dtype: string}} Info what a shape rule says of an output */
/** @typedef {{of: Value|Block, offset: number}} At a place some bytes into a value or block */
/** @typedef {number|{f32: number}|{i64: number}|Value|Block|At|null} Arg a field of a kernel's struct; a plain number
 *   is an int, null is the null pointer */
/** @typedef {{from: Value, to: Value, dims: number[], ss: number[], ds: number[],
 *   fromAt: number, toAt: number}} Move to[toAt + i·ds] = from[fromAt + i·ss] for all i below dims, in elements */
/**
 * @typedef {object} Rule the contract of an operator type
 * @property {string[]} attrs all attributes; each is required, others are refused
 * @property {Record<string, string[]>} types slot → element types; a "?" after the slot: may be missing
 * @property {(node: OpNode) => Info[]} shape output shapes; throws ShapeError
 * @property {boolean} [takesEmpty] whether it can make something of tensors without elements
 * @property {boolean} [givesEmpty] whether its attributes may ask for a result without elements
 * @property {(node: HostNode, run: RunBlock) => HostTensor[]} [host] computes an operator whose output shapes depend on
 *   data, between two plans; such an operator is never planned. Throws ShapeError
 * @property {(op: {attrs: Record<string, any>}) => string} [check] why these attribute values cannot be run, or ''
 * @property {(node: OpNode) => number[][]|null} [evaluate] outputs from host values; called only if all tensors that
 *   `needs` are known
 * @property {string[]} [needs] slots whose elements evaluate reads (default: all)
 * @property {(node: OpNode) => {of: Value, elements: number}[]|null} [alias] per output the value it is a part of, in
 *   order, from that element on
 */
/**
 * @typedef {object} Emitter how a lowering speaks to the plan
 * @property {(kernel: string, args: Arg[], work?: number) => void} emit adds a step; work: about how many multiply-adds it
 *   costs, where the kernel can be divided among threads
 * @property {number} maxParts into how many parts a step may be divided
 * @property {(bytes: number) => Block} scratch memory that lives during this operator only
 * @property {(array: import('./dtype.js').Elements) => Block} data constants of the plan
 * @property {(value: Value, kernel: string, bytes: number, args: number[]) => Block} packed a weight rearranged once
 *   per model by a kernel with the struct {src, dst, ...args}
 * @property {(from: Value, to: Value) => boolean} inPlace makes `to` take over the memory of `from` if nothing needs it
 *   any more
 */
/** @typedef {(node: OpNode, to: Emitter) => void} Lower */
/**
 * How an operator takes and gives its 4-D float32 tensors that are no constants: row by row, in blocks of four channels,
 * either (all alike), or from one to the other (entry: plain → blocked, exit: blocked → plain).
 * @typedef {'plain'|'blocked'|'either'|'entry'|'exit'} Layout
 */
/** @typedef {(node: OpNode) => Layout} LayoutRule */

/** @typedef {{data: import('./dtype.js').Elements, shape: number[], dtype: string}} HostTensor */
/** @typedef {(block: number, inputs: HostTensor[]) => HostTensor[]} RunBlock runs a graph inside the model */

/** Sizes that do not fit together; the plan says which input is to blame. */
export class ShapeError extends Error {}

/** Something that the model asks for and this runtime cannot do, found while planning. */
export class UnsupportedError extends Error {}

/** The same, because a shape depends on the elements of a tensor that the plan does not know. */
export class UnknownDataError extends UnsupportedError {
  /** @param {string} message @param {string} value the tensor */
  constructor(message, value) {
    super(message);
    this.value = value;
  }
}

/** One operator with its values. */
export class OpNode {
  /**
   * @param {{type: string, attrs: Record<string, any>, outputs: Record<string, string[]>}} op
   * @param {Record<string, Value[]>} inputs
   */
  constructor(op, inputs) {
    this.type = op.type;
    this.attrs = op.attrs;
    this.inputs = inputs;
    /** @type {string[]} */
    this.names = op.outputs.Out ?? [];
    /** @type {Value[]} */
    this.outputs = [];
    this.where = `${op.type} (${this.names[0] ?? 'no output'})`;
  }

  /** The only value of a slot. @param {string} slot @returns {Value} */
  x(slot = 'X') {
    const value = this.inputs[slot]?.[0];
    if (!value) throw new UnsupportedError(`input ${slot} is missing`);
    return value;
  }

  /** @param {string} slot @returns {Value|null} */
  maybe(slot) {
    return this.inputs[slot]?.[0] ?? null;
  }

  /** @param {string} slot @returns {Value[]} */
  all(slot) {
    return this.inputs[slot] ?? [];
  }

  /** The only output. @returns {Value} */
  get out() {
    return this.outputs[0];
  }

  /**
   * A list of integers that may be an attribute, a tensor or a list of scalars, the later winning.
   * @param {number[]} attribute
   * @param {string} tensor slot of a tensor
   * @param {string} [list] slot of scalars
   * @returns {number[]}
   */
  integers(attribute, tensor, list = '') {
    const parts = this.all(list);
    if (parts.length) return parts.map((part) => known(part)[0]);
    const value = this.maybe(tensor);
    return value ? known(value) : attribute;
  }
}

/** An operator that runs on the host, with its tensors. */
export class HostNode {
  /**
   * @param {{type: string, attrs: Record<string, any>, outputs: Record<string, string[]>}} op
   * @param {Record<string, HostTensor[]>} inputs
   */
  constructor(op, inputs) {
    this.type = op.type;
    this.attrs = op.attrs;
    this.inputs = inputs;
    /** @type {string[]} */
    this.names = op.outputs.Out ?? [];
    this.where = `${op.type} (${this.names[0] ?? 'no output'})`;
  }

  /** The only tensor of a slot. @param {string} slot @returns {HostTensor} */
  x(slot = 'X') {
    const tensor = this.inputs[slot]?.[0];
    if (!tensor) throw new UnsupportedError(`input ${slot} is missing`);
    return tensor;
  }

  /** @param {string} slot @returns {HostTensor|null} */
  maybe(slot) {
    return this.inputs[slot]?.[0] ?? null;
  }
}

/** The shape of what runs on the host: only the run tells. @type {Rule['shape']} */
export const unplanned = (node) => {
  throw new UnknownDataError(`the shape of ${node.names[0]} depends on data`, node.names[0]);
};

/** @param {Value} value @returns {number[]} */
export function known(value) {
  if (!value.host) {
    throw new UnknownDataError(`its input ${value.name} decides on shapes but depends on data`, value.name);
  }
  return value.host;
}

/** @param {readonly number[]} shape @returns {number} elements; 1 for a scalar */
export function count(shape) {
  return shape.reduce((n, size) => n * size, 1);
}

/** @param {number} axis @param {number} rank @returns {number} from 0 up */
export function axisOf(axis, rank) {
  if (axis < -rank || axis >= Math.max(rank, 1)) throw new ShapeError(`axis ${axis} is outside a tensor of rank ${rank}`);
  return axis < 0 ? axis + rank : axis;
}

/** Elements that a value takes up in memory. @param {Value} value @returns {number} */
export function stored({ shape, blocked }) {
  return blocked ? shape[0] * Math.ceil(shape[1] / 4) * 4 * shape[2] * shape[3] : count(shape);
}

/** Row-major strides in elements. @param {readonly number[]} shape @returns {number[]} */
export function strides(shape) {
  const out = new Array(shape.length);
  for (let i = shape.length - 1, n = 1; i >= 0; n *= shape[i--]) out[i] = n;
  return out;
}

/** @param {Value} value @returns {Info} */
export function like({ shape, dtype }) {
  return { shape, dtype };
}

/** @param {number} x @returns {{f32: number}} */
export const f32 = (x) => ({ f32: x });

/**
 * A list filled up to a fixed length, as an array in a kernel's struct.
 * @param {readonly number[]} list @param {number} length @returns {number[]}
 */
export function fixed(list, length) {
  if (list.length > length) throw new UnsupportedError(`it needs ${list.length} dimensions where ${length} are supported`);
  return [...list, ...new Array(length - list.length).fill(0)];
}

/** Whether the last axis holds the channels. @param {string} layout @returns {boolean} */
export const channelsLast = (layout) => layout.endsWith('C');

/** @param {string} layout @returns {string} why a layout attribute is refused, or '' */
export function checkLayout(layout) {
  return ['NCHW', 'NHWC', 'AnyLayout'].includes(layout) ? '' : `data layout ${JSON.stringify(layout)}`;
}

/**
 * Adds the step that turns from[N][A][B] into dest[N][B][A], 4-byte elements.
 * @param {Emitter} to @param {Value|Block} from @param {Value|Block} dest
 * @param {number} N @param {number} A @param {number} B
 */
export function emitSwap(to, from, dest, N, A, B) {
  const lists = [[N, B, A], [A * B, 1, B], [A * B, A, 1]];
  to.emit('copy', [from, dest, 4, 3, ...lists.flatMap((list) => fixed(list, 12))]);
}
