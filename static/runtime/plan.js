// Graph + input shapes → plan: shapes, host values, steps with resolved numbers, and who lies where in memory. Pure.
import { asInPageError, InPageError } from './errors.js';
import { problemsOf } from './ops/index.js';
import { BYTES, normal, numbers } from './ops/dtype.js';
import { count, OpNode, ShapeError, UnsupportedError } from './ops/node.js';
import { lowerNodes } from './plan_lower.js';

/** @typedef {import('./manifest.js').Graph} FullGraph */
/** @typedef {Pick<FullGraph, 'vars'|'ops'|'inputs'|'outputs'|'blocks'|'usual'>} Graph */
/** @typedef {import('./ops/node.js').Value} Value */
/** @typedef {import('./ops/index.js').OpDef} OpDef */
/** @typedef {import('./ops/index.js').Problem} Problem */
/** @typedef {import('./ops/dtype.js').Elements} Elements */
/** @typedef {Map<string, Elements> & {lengthOf?: (name: string) => number|undefined, settle?: () => void,
 *   kept?: (name: string) => Elements|undefined, move?: (name: string, restore: (length: number) => Elements) => void,
 *   lie?: (name: string, length: number, restore: (length: number) => Elements) => void}} Weights
 *   whose `get` gives float16 weights as float32; the methods are those of held.js */
/** @typedef {Map<string, OpDef>} Operators */
/** @typedef {{arena: number}|{data: number}|{weight: string, offset: number}} Ref bytes from the start of a region */
/** @typedef {number|{f32: number}|{i64: number}|Ref} StepArg a plain number is an int; the null pointer is 0 */
/** @typedef {{kernel: string, args: StepArg[], where: string, work: number}} Step work: multiply-adds or the like that
 *   threads may share; 0 where the kernel cannot be divided */
/** @typedef {{key: string, name: string, bytes: number, pack: {kernel: string, args: number[]}|null}} Resident a weight
 *   as it lies in memory: as in the model, or rearranged by a kernel */
/** @typedef {{name: string, dtype: string, shape: number[], at: Ref, known: boolean}} Port known: constant within the plan */
/**
 * @typedef {object} Plan plain data: what to do for one set of input shapes
 * @property {Port[]} inputs
 * @property {Port[]} outputs
 * @property {Step[]} steps in order
 * @property {number} arenaBytes
 * @property {Uint8Array} data constants of this plan
 * @property {Resident[]} weights
 */
/** @typedef {{node: OpNode, def: OpDef, aliases: {of: Value, elements: number}[]|null}} Planned */
/** @typedef {{values: Map<string, Value>, nodes: Planned[]}} Propagated */

/** @typedef {Record<string, number[]>} Shapes of the inputs, by name */
/**
 * @typedef {object} PlanOptions
 * @property {number} [maxArenaBytes] working memory that the plan may take
 * @property {Map<string, number[]>} [known] elements of inputs that shapes depend on; the plan holds for these alone
 * @property {boolean} [inner] whether the inputs are values inside the model: then no caller can be told other sizes
 */

const MAX_HOST_INTEGERS = 1024, MAX_HOST_FLOATS = 64;
export const MAX_ARENA_BYTES = 2 ** 30;

/**
 * @param {Graph} graph
 * @param {Shapes} shapes
 * @param {Operators} operators from loadOperators
 * @param {Weights} weights
 * @param {PlanOptions} [options]
 * @returns {Plan}
 * @throws {InPageError} invalid_input where the graph forbids a size, naming input and dimension; unsupported;
 *   out_of_memory; invalid_model
 */
export function makePlan(graph, shapes, operators, weights, options = {}) {
  const { values, nodes } = planShapes(graph, shapes, operators, weights, options);
  const plan = lowered(nodes, graph, values);
  checkMemory(plan.arenaBytes, shapes, options.maxArenaBytes ?? MAX_ARENA_BYTES);
  return plan;
}

/**
 * The first half of planning, which every backend shares: all values with their shapes, and the operators that must run.
 * @param {Graph} graph
 * @param {Shapes} shapes
 * @param {Operators} operators from loadOperators
 * @param {Weights} weights
 * @param {PlanOptions} [options]
 * @returns {Propagated} nodes: those alone that some output depends on, in order
 * @throws {InPageError} as makePlan
 */
export function planShapes(graph, shapes, operators, weights, { maxArenaBytes = MAX_ARENA_BYTES, known = new Map(), inner = false } = {}) {
  checkShapes(graph, shapes);
  const attempt = (/** @type {Shapes} */ tried) => propagate(graph, tried, operators, weights, known, maxArenaBytes);
  try {
    const { values, nodes } = attempt(shapes);
    return { values, nodes: neededNodes(nodes, graph, values) };
  } catch (error) {
    throw error instanceof Located ? explain(error, graph, shapes, inner ? null : attempt) : error;
  }
}

/** @param {number} bytes @param {Shapes} shapes @param {number} maxArenaBytes */
function checkMemory(bytes, shapes, maxArenaBytes) {
  if (bytes <= maxArenaBytes) return;
  throw new InPageError('out_of_memory', `These inputs need ${Math.ceil(bytes / 2 ** 20)} MB of working memory`, {
    where: describe(shapes), hint: `the limit is ${Math.floor(maxArenaBytes / 2 ** 20)} MB: use smaller inputs`,
  });
}

/** @param {Planned[]} nodes @param {Graph} graph @param {Map<string, Value>} values @returns {Plan} */
function lowered(nodes, graph, values) {
  try {
    return lowerNodes(nodes, graph, values);
  } catch (error) {
    throw senseless(error, '');
  }
}

/**
 * Attributes of another kind than an operator's own code expects: only a damaged model has them.
 * @param {unknown} error @param {string} where @returns {InPageError}
 */
const senseless = (error, where) => asInPageError(error, 'invalid_model', {
  where, hint: 'the attributes make no sense: convert the model again',
});

/**
 * Everything of the graph that the operators cannot do.
 * @param {Graph} graph @param {Operators} operators
 * @returns {Problem[]}
 */
export function problemsOfGraph(graph, operators) {
  const dtypeOf = (/** @type {string} */ name) => graph.vars.get(name)?.dtype;
  return opsOf(graph).flatMap((op) => problemsOf(op, operators.get(op.type), dtypeOf).map((reason) => (
    { type: op.type, reason, where: op.outputs.Out?.[0] ?? '' })));
}

/** The operators of a graph and of the graphs inside it. @param {Graph} graph */
export const opsOf = ({ ops, blocks = [] }) => [...ops, ...blocks.flatMap((block) => block.ops)];

/** A failure at one operator. */
class Located extends Error {
  /** @param {string} where @param {Error} cause */
  constructor(where, cause) {
    super(cause.message, { cause });
    this.where = where;
  }
}

/** @param {Graph} graph @param {Shapes} shapes */
function checkShapes({ inputs }, shapes) {
  for (const { name, shape: wanted } of inputs) {
    const shape = shapes[name];
    if (!shape) throw new InPageError('invalid_input', `No shape is given for input "${name}"`);
    if (shape.length !== wanted.length) {
      throw new InPageError('invalid_input', `Input "${name}" has rank ${wanted.length}, not ${shape.length}`);
    }
    shape.forEach((size, axis) => {
      const fixed = wanted[axis];
      if (typeof fixed === 'number' && fixed >= 0 && fixed !== size) {
        throw new InPageError('invalid_input', `Dimension ${axis} of input "${name}" is ${fixed}, not ${size}`);
      }
    });
  }
}

/**
 * Shapes of all values, and the elements of those that follow from shapes and constants alone.
 * @param {Graph} graph @param {Shapes} shapes @param {Operators} operators @param {Weights} weights
 * @param {Map<string, number[]>} known
 * @param {number} maxBytes of any one value: what no device holds must not cost time and tables here
 * @returns {Propagated}
 */
function propagate(graph, shapes, operators, weights, known, maxBytes) {
  const values = constants(graph, weights);
  for (const { name, dtype } of graph.inputs) {
    checkMemory(count(shapes[name]) * BYTES[normal(dtype)], shapes, maxBytes);
    values.set(name, { ...value(name, shapes[name], normal(dtype)), host: count(shapes[name]) ? known.get(name) ?? null : [] });
  }
  const nodes = graph.ops.map((op) => {
    const def = operators.get(op.type), inputs = Object.fromEntries(Object.entries(op.inputs).map(
      ([slot, names]) => [slot, names.map((name) => values.get(name) ?? absent(name, op.type))]));
    const node = new OpNode(op, inputs);
    try {
      if (!def) throw new UnsupportedError('this operator is not supported');
      const planned = planNode(node, def, values);
      for (const out of node.outputs) checkMemory(count(out.shape) * BYTES[out.dtype], shapes, maxBytes);
      return planned;
    } catch (error) {
      if (error instanceof ShapeError || error instanceof UnsupportedError) throw new Located(node.where, error);
      throw senseless(error, node.where);
    }
  });
  return { values, nodes };
}

/** @param {OpNode} node @param {OpDef} def @param {Map<string, Value>} values extended @returns {Planned} */
function planNode(node, def, values) {
  const { rule } = def;
  for (const [slot, list] of Object.entries(node.inputs)) {
    const allowed = rule.types[slot] ?? rule.types[`${slot}?`];
    const wrong = list.find(({ dtype }) => !allowed.includes(dtype));
    if (wrong) throw new UnsupportedError(`input ${slot} of type ${wrong.dtype} is not supported`);
  }
  const infos = rule.shape(node), empty = Object.values(node.inputs).flat().some(({ shape }) => !count(shape));
  if (infos.length !== node.names.length) throw new ShapeError(`it makes ${infos.length} outputs, not ${node.names.length}`);
  node.outputs = infos.map(({ shape, dtype }, i) => {
    if (!shape.every((size) => size > 0 || (size === 0 && (empty || rule.givesEmpty)))) throw new ShapeError(`its result [${shape}] is empty`);
    return value(node.names[i], shape, dtype);
  });
  const host = hostOf(node, def, empty);
  node.outputs.forEach((out, i) => {
    out.host = host ? host[i] : count(out.shape) ? null : [];
    values.set(out.name, out);
  });
  return { node, def, aliases: host ? null : rule.alias?.(node) ?? null };
}

/**
 * The elements of all outputs, where they are known now. Tensors without elements always are.
 * @param {OpNode} node @param {OpDef} def @param {boolean} empty whether an input has no elements
 * @returns {number[][]|null}
 */
function hostOf(node, { rule }, empty) {
  if (node.outputs.every(({ shape }) => !count(shape))) return node.outputs.map(() => []);
  if (empty && !rule.takesEmpty) throw new ShapeError('it makes something of a tensor without elements, which is not supported');
  const needed = (rule.needs ?? Object.keys(node.inputs)).flatMap((slot) => node.all(slot)); // a weight is read last: it may be on its way
  const known = needed.every((input) => input.weight || input.host) && needed.every(({ host }) => host);
  return known ? rule.evaluate?.(node) ?? null : null;
}

/** @param {string} name @param {number[]} shape @param {string} dtype @returns {Value} */
function value(name, shape, dtype) {
  return { name, shape, dtype, host: null, weight: false, block: null, offset: 0 };
}

/** @param {string} name @param {string} type @returns {never} */
function absent(name, type) {
  throw new InPageError('invalid_model', `${type} reads "${name}", which nothing before it writes`);
}

/** @param {Graph} graph @param {Weights} weights @returns {Map<string, Value>} */
function constants({ vars }, weights) {
  /** @type {Map<string, Value>} */
  const values = new Map();
  for (const { name, shape, dtype, persistable } of vars.values()) {
    if (!persistable) continue;
    const length = weights.lengthOf ? weights.lengthOf(name) : weights.get(name)?.length;
    if (length !== count(shape)) throw new InPageError('invalid_model', `The weight "${name}" is missing or has another size`);
    values.set(name, constant(value(name, shape, normal(dtype)), length, () => numbers(/** @type {Elements} */ (weights.get(name)))));
  }
  return values;
}

/** A weight; its elements are read when somebody asks for them: they may be on their way. @param {Value} made @param {number} length @param {() => number[]|null} read @returns {Value} */
function constant({ name, shape, dtype, offset }, length, read) {
  const small = length <= (dtype === 'float32' ? MAX_HOST_FLOATS : MAX_HOST_INTEGERS);
  /** @type {number[]|null} */
  let host = null;
  return {
    name, shape, dtype, offset, weight: true, block: { kind: 'weight', bytes: length * BYTES[dtype], key: name },
    get host() { return host ??= small ? read() : null; },
  };
}

/**
 * Those that some output depends on through memory, in order.
 * @param {Planned[]} nodes @param {Graph} graph @param {Map<string, Value>} values
 * @returns {Planned[]}
 */
function neededNodes(nodes, graph, values) {
  const needed = new Set(graph.outputs.map(({ name }) => values.get(name) ?? absent(name, 'fetch')));
  return [...nodes].reverse().filter(({ node }) => {
    const wanted = node.outputs.some((out) => needed.has(out) && !out.host);
    if (wanted) for (const input of Object.values(node.inputs).flat()) needed.add(input);
    return wanted;
  }).reverse();
}

/** @param {Shapes} shapes */
const describe = (shapes) => Object.entries(shapes).map(([name, shape]) => `"${name}" [${shape.join(', ')}]`).join(', ');

/**
 * Which input dimension is to blame for sizes that do not fit: one that, rounded up, makes them fit.
 * @param {Located} error @param {Graph} graph @param {Shapes} shapes
 * @param {((shapes: Shapes) => Propagated)|null} attempt throws Located where these shapes do not fit; null inside a model
 * @returns {InPageError}
 */
function explain(error, graph, shapes, attempt) {
  const { where, message, cause } = error;
  if (cause instanceof UnsupportedError) {
    return new InPageError('unsupported', `Cannot plan ${where}: ${message}`, { where: describe(shapes), cause });
  }
  if (!attempt) {
    const what = `The model does not take these inputs: they lead to sizes that do not fit in ${where}`;
    return new InPageError('invalid_input', `${what}, where ${message}`, { where: describe(shapes), cause });
  }
  const free = graph.inputs.flatMap(({ name, shape }) => shape.map((dim, axis) => ({ name, dim, axis, size: shapes[name][axis] }))
    .filter(({ dim }) => typeof dim !== 'number' || dim < 0));
  if (!free.length) return new InPageError('invalid_model', `The sizes in ${where} do not fit: ${message}`, { cause });
  const named = (/** @type {typeof free} */ dims) => dims.map(
    ({ name, axis, size }) => `dimension ${axis} of input "${name}" (${size})`).join(' and ');
  for (const dims of [...free.map((dim) => [dim]), free.filter(({ size }) => size > 1)]) {
    const better = [2, 4, 8, 16, 32, 64].map((multiple) => roundedUp(shapes, dims, multiple)).find((tried) => fits(attempt, tried));
    if (!better) continue;
    return new InPageError('invalid_input', `The model does not take ${named(dims)}: in ${where} ${message}`, {
      hint: `${describe(better)} would fit`, cause,
    });
  }
  return new InPageError('invalid_input', `The model does not take these sizes: in ${where} ${message}`, {
    where: named(free), hint: 'try larger ones, or those that the model was made for', cause,
  });
}

/** @param {Shapes} shapes @param {{name: string, axis: number}[]} dims to change @param {number} multiple @returns {Shapes} */
function roundedUp(shapes, dims, multiple) {
  return Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, shape.map((size, axis) => (
    dims.some((dim) => dim.name === name && dim.axis === axis) ? Math.ceil(size / multiple) * multiple : size))]));
}

/** @param {(shapes: Shapes) => Propagated} attempt @param {Shapes} shapes @returns {boolean} */
function fits(attempt, shapes) {
  try {
    attempt(shapes);
    return true;
  } catch (error) {
    if (error instanceof Located || (error instanceof InPageError && error.code === 'out_of_memory')) return false;
    throw error;
  }
}
