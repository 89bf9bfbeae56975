// Tensors as the Open Inference Protocol writes them in binary: JSON, then the numbers of each tensor, little-endian.
import { InPageError } from './errors.js';
import { DTYPES, sizeOf } from './tensor.js';

/** @typedef {import('./tensor.js').Tensor} Tensor */

/** @type {Record<string, string>} the bundle's name → the protocol's */
const DATATYPES = {
  float32: 'FP32', int32: 'INT32', int64: 'INT64', bool: 'BOOL', uint8: 'UINT8', int8: 'INT8',
};
const NAMES = new Map(Object.entries(DATATYPES).map(([dtype, datatype]) => [datatype, dtype]));

/**
 * @param {readonly import('./tensor.js').TensorInfo[]} inputs
 * @param {Record<string, Tensor>} feeds checked against them
 * @returns {{body: Blob, headers: Record<string, string>}} of a POST to …/infer that asks for binary outputs
 * @throws {InPageError} unsupported
 */
export function writeRequest(inputs, feeds) {
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const blobs = [];
  const entries = inputs.map(({ name, dtype }) => {
    const { data, shape } = feeds[name], datatype = DATATYPES[dtype];
    if (!datatype) throw new InPageError('unsupported', `Tensors of ${dtype} cannot be sent`, { where: `input "${name}"` });
    blobs.push(new Uint8Array(/** @type {ArrayBuffer} */ (data.buffer), data.byteOffset, data.byteLength));
    return { name, datatype, shape, parameters: { binary_data_size: data.byteLength } };
  });
  const json = new TextEncoder().encode(JSON.stringify({ inputs: entries, parameters: { binary_data_output: true } }));
  return {
    body: new Blob([json, ...blobs]),
    headers: { 'Content-Type': 'application/octet-stream', 'Inference-Header-Content-Length': String(json.length) },
  };
}

/**
 * @param {ArrayBuffer} content an answer's body @param {string|null} jsonLength its Inference-Header-Content-Length
 * @returns {Record<string, Tensor>} by output name
 * @throws {InPageError} damaged
 */
export function readResponse(content, jsonLength) {
  const length = jsonLength === null ? content.byteLength : Number(jsonLength);
  if (!Number.isSafeInteger(length) || length < 0 || length > content.byteLength) throw damaged('its header does not fit its length');
  /** @type {any} */
  let json;
  try {
    json = JSON.parse(new TextDecoder().decode(content.slice(0, length)));
  } catch (cause) {
    throw damaged('it is not JSON', cause);
  }
  if (!Array.isArray(json?.outputs)) throw damaged('it has no list of outputs');
  let at = length;
  /** @type {Record<string, Tensor>} */
  const outputs = {};
  for (const { name, datatype, shape, parameters } of json.outputs) {
    const dtype = NAMES.get(datatype);
    const sound = typeof name === 'string' && Array.isArray(shape) && shape.every((dim) => Number.isSafeInteger(dim) && dim >= 0);
    if (!dtype || !sound) throw damaged(`output "${name}" is ${datatype} of shape ${JSON.stringify(shape)}`);
    const { array, bytes: each } = DTYPES[dtype], bytes = sizeOf(shape) * each;
    if (parameters?.binary_data_size !== bytes || at + bytes > content.byteLength) throw damaged(`output "${name}" is not ${bytes} bytes`);
    outputs[name] = { data: new array(content.slice(at, at + bytes)), shape };
    at += bytes;
  }
  if (at !== content.byteLength) throw damaged(`${content.byteLength - at} bytes follow the last output`);
  return outputs;
}

/** @param {string} why @param {unknown} [cause] */
function damaged(why, cause) {
  return new InPageError('damaged', `The server's answer cannot be read: ${why}`, { hint: 'reload the page', cause });
}
