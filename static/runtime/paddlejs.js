// A package of the original Paddle.js converter (model.json + chunk_N.dat) -> the runtime's Graph and weights.
// It has no element types, sizes or hashes: weights are float32, and only their total can be checked.
import { InPageError, asInPageError } from './errors.js';
import { CHUNK_BYTES, MAX_WEIGHT_BYTES } from './manifest.js';
import { canonical } from './paddlejs_ops.js';
import { AGAIN, arrange, refuse, unfuse } from './paddlejs_program.js';
import { sizeOf } from './tensor.js';
import { decodeWeights } from './weights.js';

/** @typedef {import('./manifest.js').Graph} Graph */
/** @typedef {import('./manifest.js').Var} Var */
/** @typedef {import('./paddlejs_reader.js').RawOp} RawOp */
/** @typedef {{graph: Graph, weightBytes: number, chunkCount: number|null}} Package chunkCount: null where it is not said */

const MAX_RANK = 16;
const MAX_CHUNKS = 10_000;
const PARALLEL = 6;

/**
 * @param {any} json the parsed model.json of a package
 * @param {string} [name] to call the model by
 * @returns {Package}
 * @throws {InPageError} invalid_model, naming every operator that cannot be read
 */
export function parsePackage(json, name = '') {
  try {
    return readPackage(json, name);
  } catch (thrown) {
    if (thrown instanceof InPageError) throw thrown;
    const text = thrown instanceof Error ? thrown.message : String(thrown);
    throw new InPageError('invalid_model', `The package is malformed (${text})`, { where: 'model.json', hint: AGAIN, cause: thrown });
  }
}

/** @param {any} json @param {string} name @returns {Package} */
function readPackage(json, name) {
  const declared = readVars(json.vars);
  const raw = [...json.ops, ...(json.postOps ?? [])].flatMap(unfuse);
  const weights = new Map([...declared].filter(([, entry]) => entry.persistable));
  const inputs = readInputs(raw, declared, json.feedShape);
  const batchless = inputs.some((input) => declared.get(input.name)?.shape.length === 3);
  const { ordered, fetched } = arrange(raw, new Set([...weights.keys(), ...inputs.map((input) => input.name)]));
  const known = [...weights.values(), ...inputs].map(({ name: key, shape }) => /** @type {const} */ ([key, shape]));
  const ops = translate(ordered, new Map(/** @type {any} */ (known)));
  flattenBiases(ops, weights);
  const vars = new Map(weights);
  for (const { name: key, shape } of inputs) {
    const sizes = shape.map((size) => (typeof size === 'number' ? size : -1));
    vars.set(key, { name: key, shape: sizes, dtype: 'float32', persistable: false });
  }
  const weightBytes = 4 * [...weights.values()].reduce((total, { shape }) => total + sizeOf(shape), 0);
  if (weightBytes > MAX_WEIGHT_BYTES) refuse(`the weights take ${weightBytes} bytes, more than a page can hold`);
  const outputs = fetched.map((key) => describeOutput(key, ops, declared.get(key), batchless));
  const graph = /** @type {Graph} */ ({
    name, vars, ops, inputs, outputs, chunks: [], precision: 'float32', preprocess: null, labels: null,
    postprocess: json.postOps?.length ? { postOps: json.postOps.map((/** @type {any} */ op) => String(op.type)) } : null,
  });
  const count = json.chunkNum ?? null;
  if (count !== null && !(Number.isSafeInteger(count) && count >= 0 && count <= MAX_CHUNKS)) refuse(`"chunkNum" is ${JSON.stringify(count)}`);
  return { graph, weightBytes, chunkCount: count || null };
}

/** @param {any} json @returns {Map<string, Var>} sizes of weights are checked, those of results are not to be trusted */
function readVars(json) {
  /** @type {Map<string, Var>} */
  const vars = new Map();
  const entries = Array.isArray(json) ? json.map((entry) => [entry.name, entry]) : Object.entries(json);
  for (const [key, entry] of entries) {
    const name = String(entry.name ?? key), shape = (entry.shape ?? []).map(Number), persistable = Boolean(entry.persistable);
    const isSize = (/** @type {number} */ size) => Number.isSafeInteger(size) && size >= 0;
    if (persistable && (shape.length > MAX_RANK || !shape.every(isSize))) {
      refuse(`the shape [${shape}] of the weight "${name}" cannot be right`);
    }
    vars.set(name, { name, shape, dtype: 'float32', persistable });
  }
  return vars;
}

/**
 * @param {RawOp[]} raw @param {Map<string, Var>} declared @param {any} feedShape {fc, fh, fw} or nothing
 * @returns {import('./tensor.js').TensorInfo[]} sizes as declared, else feedShape with a batch of one, else open
 */
function readInputs(raw, declared, feedShape) {
  return raw.filter(({ type }) => type === 'feed').map(({ outputs }) => {
    const [name] = Object.values(outputs)[0];
    let shape = declared.get(name)?.shape ?? [];
    if (!shape.length && feedShape) shape = [1, feedShape.fc ?? 3, feedShape.fh, feedShape.fw].map(Number);
    if (!shape.length) shape = [-1, -1, -1, -1];
    while (shape.length < 4) shape = [1, ...shape]; // the batch was often left out
    return { name, shape: shape.map((size, i) => (size > 0 ? size : `${name}.${i}`)), dtype: 'float32' };
  });
}

/** @param {RawOp[]} raw @param {Map<string, number[]>} shapes @returns {import('./manifest.js').Op[]} */
function translate(raw, shapes) {
  /** @type {string[]} */
  const faults = [];
  const ops = raw.flatMap((op) => {
    try {
      return canonical(op, shapes);
    } catch (thrown) {
      const { what, where } = asInPageError(thrown, 'invalid_model', { where: op.where });
      faults.push(`${where}: ${what}`);
      return [];
    }
  });
  if (faults.length) refuse(`${faults.length} operators cannot be read: ${faults.join('; ')}`);
  return ops;
}

/** A bias [1, N] of fc is a bias [N]. @param {import('./manifest.js').Op[]} ops @param {Map<string, Var>} weights */
function flattenBiases(ops, weights) {
  for (const { type, inputs } of ops) {
    const bias = type === 'fc' ? weights.get(inputs.Bias?.[0]) : undefined;
    if (bias) weights.set(bias.name, { ...bias, shape: [sizeOf(bias.shape)] });
  }
}

/**
 * @param {string} name @param {import('./manifest.js').Op[]} ops @param {Var|undefined} declared @param {boolean} batchless
 * @returns {import('./tensor.js').TensorInfo} sizes show at run time: those declared come from a tool that rounded its own way
 */
function describeOutput(name, ops, declared, batchless) {
  const maker = ops.find(({ outputs }) => outputs.Out.includes(name));
  const rank = (declared?.shape.length ?? 0) + (batchless ? 1 : 0);
  return {
    name, shape: Array.from({ length: rank }, (_, i) => `?${i}`), dtype: maker?.attrs.dtype ?? maker?.attrs.out_dtype ?? 'float32',
  };
}

/**
 * @typedef {object} Surroundings what the loader of bundles lends
 * @property {(file: string, options: {limit: number, onBytes?: (bytes: number) => void}) => Promise<Uint8Array<ArrayBuffer>>} read
 * @property {(stage: 'weights'|'prepare', loaded: number, total: number) => void} report
 * @property {(graph: Graph) => void|Promise<void>} [check]
 * @property {string} where the package, for messages
 */

/**
 * @param {any} json @param {Surroundings} around
 * @returns {Promise<import('./bundle.js').Bundle>}
 * @throws {InPageError} invalid_model, damaged where the chunks do not hold the weights, and what `read` throws
 */
export async function loadPackage(json, around) {
  const name = around.where.replace(/[?#].*$/, '').replace(/[\\/][^\\/]*\.json$/, '').split(/[\\/]/).pop() ?? '';
  const { graph, weightBytes, chunkCount } = parsePackage(json, name);
  await around.check?.(graph);
  around.report('weights', 0, weightBytes);
  const files = weightBytes ? await readChunks(around, weightBytes, chunkCount) : [];
  const found = files.reduce((total, { data }) => total + data.length, 0);
  if (found !== weightBytes) {
    throw new InPageError('damaged', `The chunks hold ${found} bytes, the weights need ${weightBytes}`, {
      where: around.where, hint: 'copy all chunk_N.dat files again; if they are whole, the original converter cut a weight of '
        + `more than four dimensions or lost the last number: ${AGAIN}`,
    });
  }
  around.report('prepare', weightBytes, weightBytes);
  const joined = new Uint8Array(weightBytes);
  let at = 0;
  for (const { data } of files) {
    joined.set(data, at);
    at += data.length;
  }
  graph.chunks = files.map(({ file, data }) => ({ file, bytes: data.length, sha256: '' }));
  return { graph, weights: decodeWeights(graph.vars, joined.buffer), stored: Promise.resolve(false) };
}

/**
 * chunk_1.dat … chunk_N.dat; where the package does not say N, all there are until the weights are complete.
 * @param {Surroundings} around @param {number} needed bytes @param {number|null} count
 * @returns {Promise<{file: string, data: Uint8Array}[]>}
 */
async function readChunks({ read, report }, needed, count) {
  let loaded = 0;
  const one = async (/** @type {number} */ number) => {
    const file = `chunk_${number}.dat`;
    const data = await read(file, { limit: Math.max(needed, CHUNK_BYTES) });
    loaded += data.length;
    report('weights', Math.min(loaded, needed), needed);
    return { file, data };
  };
  if (count !== null) {
    const files = [];
    for (let done = 0; done < count; done += PARALLEL) {
      const several = Array.from({ length: Math.min(PARALLEL, count - done) }, (_, i) => one(done + i + 1));
      files.push(...await Promise.all(several));
    }
    return files;
  }
  /** Null where there is no such chunk: what is there may not suffice. @param {number} number */
  const maybe = (number) => one(number).catch((thrown) => {
    if (thrown instanceof InPageError && thrown.code === 'not_found') return null;
    throw thrown;
  });
  const files = [];
  for (let number = 1; loaded < needed; number++) {
    const next = await maybe(number);
    if (!next) break;
    files.push(next);
  }
  if (loaded < needed) { // early packages count from 0
    const first = files.length ? await maybe(0) : await one(0);
    if (first) files.unshift(first);
  }
  return files;
}
