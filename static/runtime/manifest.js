// model.json -> Graph: every field is checked before anything is allocated or fetched on its word.
import { InPageError } from './errors.js';
import { checkSpec } from './preprocess.js';
import { DTYPES } from './tensor.js';

/** @typedef {import('./tensor.js').Dimension} Dimension */
/** @typedef {import('./tensor.js').TensorInfo} TensorInfo */
/**
 * @typedef {object} Var a dynamic dimension is -1
 * @property {string} name @property {number[]} shape @property {string} dtype @property {boolean} persistable
 * @property {{scale: string, axis: number}} [rows] of a weight that the file holds as int8: the float32 weight with a
 *   scale for each place along the axis
 */
/** @typedef {{type: string, inputs: Record<string, string[]>, outputs: Record<string, string[]>,
 *   attrs: Record<string, any>}} Op */
/** @typedef {{inputs: string[], outputs: string[], ops: Op[]}} Block */
/** @typedef {{file: string, bytes: number, sha256: string}} Chunk */
/**
 * @typedef {object} Graph what model.json says, without feed and fetch; the weights travel beside it
 * @property {string} name
 * @property {Map<string, Var>} vars
 * @property {Op[]} ops in execution order
 * @property {Block[]} [blocks] graphs inside, which operators of control flow name by number
 * @property {TensorInfo[]} inputs
 * @property {TensorInfo[]} outputs
 * @property {Chunk[]} chunks
 * @property {'float32'|'float16'|'int8-weights'|'int8'} precision
 * @property {import('./preprocess.js').PreprocessSpec|null} preprocess
 * @property {Record<string, any>|null} postprocess
 * @property {string[]|null} labels
 * @property {number[]|null} [usual] sizes of the only input as it was exported, where others will do as well
 * @property {import('./gpu/stored.js').CheckEntry|null} [check] checked by those who use it
 */

export const FORMAT = 'paddle-inpage';
export const FORMAT_VERSION = 1;
const CHECK = 'check.dat';
export const CHUNK_BYTES = 4 * 1024 * 1024;
export const MAX_WEIGHT_BYTES = 2 ** 31; // half of what a WASM memory can address
const MAX_RANK = 16;
/** @type {Record<string, string[]>} operators of control flow, and the attributes that name blocks */
const CALLS = { while: ['body'], if: ['then', 'otherwise'] };

/** @param {string} what @param {string} [where] @returns {never} */
function refuse(what, where = '') {
  throw new InPageError('invalid_model', what, {
    where: where ? `model.json: ${where}` : 'model.json',
    hint: 'convert the model again: python -m converter MODEL -o BUNDLE',
  });
}

/** @param {unknown} value @returns {value is Record<string, any>} */
const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * @param {unknown} json the parsed model.json
 * @returns {Graph}
 * @throws {InPageError} invalid_model; unsupported for an old Paddle.js package or a newer format
 */
export function parseModel(json) {
  if (!isObject(json)) refuse('It is not a JSON object');
  checkFormat(json);
  const vars = parseVars(json.vars);
  const chunks = parseChunks(json);
  checkWeightBytes(vars, chunks);
  const inputs = parseInfos(json.inputs, 'inputs');
  const outputs = parseInfos(json.outputs, 'outputs');
  const graph = {
    name: typeof json.name === 'string' ? json.name : refuse('"name" is not a string'),
    vars, chunks, inputs, outputs,
    ops: parseOps(json.ops),
    blocks: parseBlocks(json.blocks ?? []),
    precision: ['float32', 'float16', 'int8-weights', 'int8'].includes(json.precision) ? json.precision : refuse('"precision" is not known'),
    preprocess: json.preprocess == null ? null : checkSpec(json.preprocess, inputs),
    usual: parseUsual(json.feedShape, inputs),
    postprocess: json.postprocess == null ? null : parsePostprocess(json.postprocess),
    labels: json.labels == null ? null : parseLabels(json.labels),
    check: isObject(json.check) && json.check.file === CHECK ? /** @type {any} */ (json.check) : null,
  };
  checkFlow(graph, json.ops);
  return graph;
}

/**
 * Whether this is the model.json of the original Paddle.js converter, which paddlejs.js reads; ours carries "format".
 * @param {unknown} json
 * @returns {boolean}
 */
export function isPackage(json) {
  return isObject(json) && json.format === undefined && json.ops !== undefined && json.vars !== undefined;
}

/** @param {Record<string, any>} json */
function checkFormat(json) {
  if (isPackage(json)) {
    throw new InPageError('unsupported', 'This is a package of the old Paddle.js converter', {
      where: 'model.json', hint: 'give load() its address, or convert it: python -m converter PACKAGE -o BUNDLE',
    });
  }
  if (json.format !== FORMAT) refuse(`"format" is ${JSON.stringify(json.format)}, not "${FORMAT}"`);
  if (json.formatVersion !== FORMAT_VERSION) {
    const version = JSON.stringify(json.formatVersion);
    const what = `This runtime reads format version ${FORMAT_VERSION}, the bundle is version ${version}`;
    throw new InPageError('unsupported', what, {
      where: 'model.json', hint: 'use the runtime and the converter of the same release',
    });
  }
}

/** @param {unknown} json @returns {Map<string, Var>} */
function parseVars(json) {
  if (!isObject(json)) refuse('"vars" is not an object');
  /** @type {Map<string, Var>} */
  const vars = new Map();
  for (const [key, entry] of Object.entries(json)) {
    const where = `vars[${JSON.stringify(key)}]`;
    if (!isObject(entry) || entry.name !== key) refuse('a variable is not filed under its own name', where);
    const { shape, dtype, persistable } = entry;
    if (!Object.hasOwn(DTYPES, dtype)) refuse(`the element type ${JSON.stringify(dtype)} is not known`, where);
    if (typeof persistable !== 'boolean') refuse('"persistable" is not true or false', where);
    const isSize = (/** @type {unknown} */ dim) => Number.isSafeInteger(dim) && Number(dim) >= (persistable ? 0 : -1);
    if (!Array.isArray(shape) || shape.length > MAX_RANK || !shape.every(isSize)) {
      refuse(`the shape ${JSON.stringify(shape)} is not a list of sizes`, where);
    }
    vars.set(key, { name: key, shape: [...shape], dtype, persistable });
  }
  for (const { name, scale, axis, dtype, shape, persistable } of Object.values(json)) {
    if (scale === undefined) continue;
    const found = typeof scale === 'string' ? vars.get(scale) : undefined, where = `vars[${JSON.stringify(name)}]`;
    const fits = found?.persistable && found.dtype === 'float32' && found.shape.join() === String(shape[axis]);
    if (!persistable || dtype !== 'int8' || !Number.isSafeInteger(axis) || !fits) refuse('its scales do not fit it', where);
    vars.set(name, { name, shape: [...shape], dtype: 'float32', persistable, rows: { scale, axis } });
  }
  return vars;
}

/** @param {Record<string, any>} json @returns {Chunk[]} */
function parseChunks({ chunks, chunkNum }) {
  if (!Array.isArray(chunks)) refuse('"chunks" is not a list');
  if (chunkNum !== chunks.length) {
    refuse(`"chunkNum" is ${JSON.stringify(chunkNum)} but ${chunks.length} chunks are listed`);
  }
  return chunks.map((chunk, i) => {
    const where = `chunks[${i}]`, name = `chunk_${i + 1}.dat`;
    const last = i === chunks.length - 1;
    if (!isObject(chunk) || chunk.file !== name) refuse(`the file is not named "${name}"`, where);
    const { file, bytes, sha256 } = chunk;
    if (!Number.isSafeInteger(bytes) || bytes < 0 || bytes > CHUNK_BYTES || (!last && bytes !== CHUNK_BYTES)) {
      refuse(`its size is ${JSON.stringify(bytes)}; every chunk but the last has ${CHUNK_BYTES} bytes`, where);
    }
    if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256)) refuse('"sha256" is not 64 hex digits', where);
    return { file, bytes, sha256 };
  });
}

/** @param {Map<string, Var>} vars @param {Chunk[]} chunks */
function checkWeightBytes(vars, chunks) {
  const listed = chunks.reduce((total, chunk) => total + chunk.bytes, 0);
  let needed = 0;
  for (const { shape, dtype, persistable, rows } of vars.values()) {
    if (persistable) needed += shape.reduce((total, dim) => total * dim, DTYPES[rows ? 'int8' : dtype].bytes);
  }
  if (needed !== listed) refuse(`the weights take ${needed} bytes but the chunks hold ${listed}`);
  if (listed > MAX_WEIGHT_BYTES) refuse(`the weights take ${listed} bytes, more than a page can hold`);
}

/** @param {unknown} json @param {string} key @returns {TensorInfo[]} */
function parseInfos(json, key) {
  if (!Array.isArray(json)) refuse(`"${key}" is not a list`);
  const seen = new Set();
  return json.map((info, i) => {
    const where = `${key}[${i}]`;
    if (!isObject(info) || typeof info.name !== 'string') refuse('it has no name', where);
    const { name, shape, dtype } = info;
    if (seen.has(name)) refuse(`the name "${name}" appears twice`, where);
    seen.add(name);
    if (!Object.hasOwn(DTYPES, dtype)) refuse(`the element type ${JSON.stringify(dtype)} is not known`, where);
    const isDim = (/** @type {unknown} */ dim) => (typeof dim === 'string' && dim !== '')
      || (Number.isSafeInteger(dim) && Number(dim) >= 0);
    if (!Array.isArray(shape) || shape.length > MAX_RANK || !shape.every(isDim)) {
      refuse(`the shape ${JSON.stringify(shape)} is not a list of sizes and symbols`, where);
    }
    return { name, shape: [...shape], dtype };
  });
}

/** @param {unknown} json channels, height and width {fc, fh, fw}, or nothing @param {TensorInfo[]} inputs @returns {number[]|null} */
function parseUsual(json, inputs) {
  if (!isObject(json) || inputs.length !== 1 || inputs[0].shape.length !== 4) return null;
  const sizes = [json.fc, json.fh, json.fw];
  return sizes.every((size) => Number.isSafeInteger(size) && size > 0) ? [1, ...sizes] : null;
}

/**
 * @param {unknown} json @param {string} [at] the block that they belong to
 * @returns {Op[]} the operators that compute: feed and fetch only mark inputs and outputs
 */
function parseOps(json, at = '') {
  if (!Array.isArray(json)) refuse('"ops" is not a list', at);
  return json.map((op, i) => {
    if (!isObject(op) || typeof op.type !== 'string') refuse('it has no type', `${at}ops[${i}]`);
    const where = `${at}ops[${i}] (${op.type})`;
    for (const side of ['inputs', 'outputs']) {
      const named = isObject(op[side]) && Object.values(op[side]).every(
        (names) => Array.isArray(names) && names.every((name) => typeof name === 'string'));
      if (!named) refuse(`"${side}" is not an object of lists of names`, where);
    }
    if (!isObject(op.attrs)) refuse('"attrs" is not an object', where);
    return { type: op.type, inputs: op.inputs, outputs: op.outputs, attrs: reviveFloats(op.attrs) };
  }).filter((op) => op.type !== 'feed' && op.type !== 'fetch');
}

/** @param {unknown} json @returns {Block[]} */
function parseBlocks(json) {
  if (!Array.isArray(json)) refuse('"blocks" is not a list');
  return json.map((block, i) => {
    const where = `blocks[${i}]`;
    if (!isObject(block)) refuse('it is not an object', where);
    const names = [block.inputs, block.outputs].every((list) => Array.isArray(list) && list.every((name) => typeof name === 'string'));
    if (!names) refuse('its inputs or outputs are not a list of names', where);
    return { inputs: block.inputs, outputs: block.outputs, ops: parseOps(block.ops, `${where}.`) };
  });
}

/** @type {Record<string, number>} */
const NON_FINITE = { inf: Infinity, '-inf': -Infinity, nan: NaN };

/** JSON has no infinities: the writer spells them as strings. @param {any} value @returns {any} */
function reviveFloats(value) {
  if (typeof value === 'string') return Object.hasOwn(NON_FINITE, value) ? NON_FINITE[value] : value;
  if (Array.isArray(value)) return value.some((item) => typeof item !== 'number') ? value.map(reviveFloats) : value;
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, reviveFloats(item)]));
}

/** @param {unknown} json @returns {string[]} */
function parseLabels(json) {
  if (!Array.isArray(json) || !json.every((label) => typeof label === 'string')) {
    refuse('"labels" is not a list of strings');
  }
  return [...json];
}

/** @param {unknown} json @returns {Record<string, any>} as the converter was given it */
function parsePostprocess(json) {
  return isObject(json) ? json : refuse('"postprocess" is not an object');
}

/** Names in one order, to compare. @param {string[]} names */
const listed = (names) => JSON.stringify([...names].sort());

/**
 * Values flow from inputs and weights to outputs: nothing is read before it is written, or written twice, and the
 * feed and fetch marks name the same inputs and outputs as the lists do.
 * @param {Graph} graph
 * @param {Record<string, any>[]} marked all operators of the file, feed and fetch included
 */
function checkFlow({ vars, ops, inputs, outputs, blocks = [] }, marked) {
  const weights = [...vars.values()].filter(({ persistable }) => persistable).map(({ name }) => name);
  const names = (/** @type {TensorInfo[]} */ infos) => infos.map(({ name }) => name);
  checkOps({ inputs: names(inputs), outputs: names(outputs), ops }, weights, '');
  blocks.forEach((block, i) => checkOps(block, weights, `blocks[${i}].`));
  checkCalls(ops, blocks, -1);
  blocks.forEach((block, i) => checkCalls(block.ops, blocks, i));
  /** @param {string} type @param {'inputs'|'outputs'} side */
  const marks = (type, side) => listed(marked.flatMap((op) => (op.type === type ? Object.values(op[side]).flat() : [])));
  if (marks('feed', 'outputs') !== listed(names(inputs))) refuse('the feed operators and "inputs" differ');
  if (marks('fetch', 'inputs') !== listed(names(outputs))) refuse('the fetch operators and "outputs" differ');
}

/** @param {Block} graph @param {string[]} weights @param {string} at the block, for messages */
function checkOps({ inputs, outputs, ops }, weights, at) {
  const known = new Set(inputs);
  for (const name of weights) {
    if (known.has(name)) refuse(`"${name}" is both an input and a weight`, at);
    known.add(name);
  }
  for (const [i, op] of ops.entries()) {
    const where = `${at}ops[${i}] (${op.type})`;
    for (const name of Object.values(op.inputs).flat()) {
      if (!known.has(name)) refuse(`it reads "${name}", which nothing before it writes`, where);
    }
    for (const name of Object.values(op.outputs).flat()) {
      if (known.has(name)) refuse(`it writes "${name}", which exists already`, where);
      known.add(name);
    }
  }
  for (const name of outputs) if (!known.has(name)) refuse(`nothing writes the output "${name}"`, at);
}

/** Control flow names blocks that fit it, each behind the one that holds it. @param {Op[]} ops @param {Block[]} blocks @param {number} own */
function checkCalls(ops, blocks, own) {
  for (const { type, inputs, outputs, attrs } of ops) {
    for (const key of (Object.hasOwn(CALLS, type) ? CALLS[type] : [])) {
      const number = attrs[key], block = Number.isSafeInteger(number) && number > own ? blocks[number] : undefined;
      if (!block) refuse(`${type} runs block ${JSON.stringify(number)}, which does not exist or lies around it`);
      const given = inputs.X?.length ?? 0, made = (outputs.Out?.length ?? 0) + (type === 'while' ? 1 : 0);
      if (block.inputs.length !== given || block.outputs.length !== made || (type === 'while' && made > given + 1)) {
        refuse(`${type} gives ${given} values to block ${number} and takes ${made}, which takes ${block.inputs.length} and gives ${block.outputs.length}`);
      }
    }
  }
}
