// model.json is believed in nothing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseModel } from '../../static/runtime/manifest.js';
import { makeBundle } from './bundle_helpers.js';

/** The model of a sound bundle after a change. @param {(model: any) => void} change */
function changed(change) {
  const model = structuredClone(makeBundle().model);
  change(model);
  return model;
}

test('a sound model becomes a graph without feed and fetch', () => {
  const graph = parseModel(makeBundle().model);
  assert.equal(graph.name, 'adder');
  assert.deepEqual(graph.ops.map((op) => op.type), ['elementwise_add']);
  assert.deepEqual(graph.inputs, [{ name: 'x', shape: ['x.0', 4], dtype: 'float32' }]);
  assert.deepEqual(graph.vars.get('w'), { name: 'w', shape: [4], dtype: 'float32', persistable: true });
  assert.equal(graph.preprocess, null);
  assert.equal(graph.labels, null);
});

test('labels, postprocess and floats that JSON does not have', () => {
  const graph = parseModel(changed((model) => {
    model.labels = ['a', 'b'];
    model.postprocess = { margin: 0.07 };
    model.ops[1].attrs = { value: '-inf', list: ['nan', 1, 'inf'], mode: 'info' };
  }));
  assert.deepEqual(graph.labels, ['a', 'b']);
  assert.deepEqual(graph.postprocess, { margin: 0.07 });
  assert.deepEqual(graph.ops[0].attrs, { value: -Infinity, list: [NaN, 1, Infinity], mode: 'info' });
});

test('a package of the old converter is named as such, with the remedy', () => {
  assert.throws(() => parseModel({ vars: {}, ops: [], chunkNum: 1 }), (/** @type {any} */ error) => {
    assert.equal(error.code, 'unsupported');
    assert.match(error.message, /old Paddle\.js converter.*python -m converter/);
    return true;
  });
});

/** @type {[string, RegExp, (model: any) => any][]} */
const REFUSED = [
  ['not an object', /not a JSON object/, () => 3],
  ['another format', /"format" is "tfjs"/, (m) => { m.format = 'tfjs'; }],
  ['a newer format', /version 1, the bundle is version 2/, (m) => { m.formatVersion = 2; }],
  ['no name', /"name"/, (m) => { delete m.name; }],
  ['a var under another name', /own name.*vars\["w"\]|vars\["w"\]/, (m) => { m.vars.w.name = 'q'; }],
  ['an unknown element type', /complex64/, (m) => { m.vars.x.dtype = 'complex64'; }],
  ['an element type out of Object.prototype', /constructor/, (m) => { m.vars.x.dtype = 'constructor'; }],
  ['a negative weight size', /\[-4\]/, (m) => { m.vars.w.shape = [-4]; }],
  ['a fractional size', /1\.5/, (m) => { m.vars.w.shape = [1.5]; }],
  ['sizes whose product overflows', /weights take/, (m) => { m.vars.w.shape = [2 ** 40, 2 ** 40]; }],
  ['weights larger than the chunks', /take 20 bytes but the chunks hold 16/, (m) => { m.vars.w.shape = [5]; }],
  ['a missing chunk', /"chunkNum" is 2 but 1/, (m) => { m.chunkNum = 2; }],
  ['an extra chunk', /"chunkNum" is 1 but 2/, (m) => { m.chunks.push({ ...m.chunks[0], file: 'chunk_2.dat' }); }],
  ['the same chunk twice', /not named "chunk_2.dat"/, (m) => {
    m.chunks = [{ ...m.chunks[0], bytes: 4194304 }, m.chunks[0]];
    m.chunkNum = 2;
  }],
  ['a path out of the folder', /not named "chunk_1.dat"/, (m) => { m.chunks[0].file = '../chunk_1.dat'; }],
  ['an address elsewhere', /not named "chunk_1.dat"/, (m) => { m.chunks[0].file = 'https://example.org/chunk_1.dat'; }],
  ['an enormous chunk', /size is 1e\+30|size is 1000000000000000000000000000000/, (m) => { m.chunks[0].bytes = 1e30; }],
  ['a chunk above 4 MiB', /size is 4194305/, (m) => { m.chunks[0].bytes = 4194305; }],
  ['a short chunk before the last', /every chunk but the last/, (m) => {
    m.chunks.push({ ...m.chunks[0], file: 'chunk_2.dat' });
    m.chunkNum = 2;
  }],
  ['a hash that is none', /64 hex digits/, (m) => { m.chunks[0].sha256 = 'zz'; }],
  ['two inputs of one name', /"x" appears twice/, (m) => { m.inputs.push(m.inputs[0]); }],
  ['two outputs of one name', /"y" appears twice/, (m) => { m.outputs.push(m.outputs[0]); }],
  ['a dimension that is neither size nor symbol', /\[null,4\]/, (m) => { m.inputs[0].shape[0] = null; }],
  ['an operator without attributes', /"attrs"/, (m) => { delete m.ops[1].attrs; }],
  ['slots that are not lists of names', /"inputs" is not.*elementwise_add/, (m) => { m.ops[1].inputs = { X: 'x' }; }],
  ['a value read before it is written', /reads "z"/, (m) => { m.ops[1].inputs.X = ['z']; }],
  ['a cycle', /reads "y"/, (m) => { m.ops[1].inputs.X = ['y']; }],
  ['a value written twice', /writes "y", which exists/, (m) => { m.ops.splice(2, 0, m.ops[1]); }],
  ['an output that nothing writes', /writes the output "q"/, (m) => { m.outputs[0].name = 'q'; }],
  ['an input that is a weight', /both an input and a weight/, (m) => { m.inputs[0].name = 'w'; }],
  ['feeds that differ from the inputs', /feed operators/, (m) => { m.ops.shift(); m.ops.unshift({ ...makeBundle().model.ops[0], outputs: { Out: ['q'] } }); }],
  ['fetches that differ from the outputs', /fetch operators/, (m) => { m.ops[2].inputs.X = ['x']; }],
  ['an unknown precision', /precision/, (m) => { m.precision = 'float8'; }],
  ['labels that are not strings', /labels/, (m) => { m.labels = [1]; }],
  ['preprocessing of an unknown input', /preprocess\.input/, (m) => { m.preprocess = { input: 'q' }; }],
];

for (const [name, message, change] of REFUSED) {
  test(`refused: ${name}`, () => {
    let model = structuredClone(makeBundle().model);
    model = change(model) ?? model;
    assert.throws(() => parseModel(model), (/** @type {any} */ error) => {
      assert.equal(error.name, 'InPageError', error.stack);
      assert.ok(['invalid_model', 'unsupported'].includes(error.code));
      assert.match(error.message, message);
      return true;
    });
  });
}
