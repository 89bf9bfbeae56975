// The parts of the WebGL backend that need no GPU: who shares a texture, what a convolution takes in, words for shader errors.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { absorb } from '../../static/runtime/webgl/absorb.js';
import { share } from '../../static/runtime/webgl/memory.js';
import { explain } from '../../static/runtime/webgl/programs.js';
import { drawsOf } from '../../static/runtime/webgl/families/index.js';
import { rowsOf, shiftOf, storageOfValue } from '../../static/runtime/webgl/shader.js';

/** @typedef {import('../../static/runtime/gpu/step.js').GpuValue} GpuValue */
/** @typedef {import('../../static/runtime/gpu/step.js').GpuPlan} GpuPlan */

test('values that live at the same time have textures of their own, the others share', () => {
  const spans = Array.from({ length: 60 }, (_, i) => [i, i + 1 + (i * 7) % 5, 1 + (i * 13) % 40]);
  const needs = spans.map(([first, last, rows], i) => ({ shift: 8, quad: i % 2 === 0, half: false, rows, first, last, slot: null }));
  share(needs);
  for (const p of needs) {
    const { slot } = /** @type {{slot: any}} */ (p);
    assert.ok(slot.rows >= p.rows);
    assert.equal(slot.quad, p.quad);
    for (const q of needs) if (p !== q && q.slot === slot) assert.ok(p.last < q.first || q.last < p.first);
  }
  assert.ok(new Set(needs.map(({ slot }) => slot)).size < 15);
});

test('every value fits the rows of its texture', () => {
  for (const shape of [[1, 3, 5, 7], [2, 9, 1, 1], [1, 64, 320, 320], [1, 1, 1, 1]]) {
    const { quad, cells } = storageOfValue({ shape, layout: 'c4' }), [N, C, H, W] = shape;
    assert.equal(cells, N * Math.ceil(C / 4) * (quad ? H * Math.ceil(W / 4) : 1));
    assert.ok(rowsOf(cells) * 2 ** shiftOf(cells) >= cells);
  }
});

let lastId = 0;

/** @param {number[]} shape @param {'c4'|'linear'} [layout] @param {boolean} [constant] @returns {GpuValue} */
function value(shape, layout = 'c4', constant = false) {
  const id = ++lastId, n = shape.reduce((product, size) => product * size, 1);
  return { id, name: `v${id}`, shape, layout, data: constant ? () => new Float32Array(n) : null, key: '', of: null, first: -1, last: -1 };
}

/** x scaled per channel, then convolved: by 1x1 with so many groups. @param {number} groups @param {number} C */
function scaledConv(groups, C) {
  const [x, s, scaled, y] = [value([1, C, 6, 8]), value([1, C, 1, 1]), value([1, C, 6, 8]), value([1, 8, 6, 8])];
  const g = {
    N: 1, C, H: 6, W: 8, O: 8, OH: 6, OW: 8, kh: 1, kw: 1, sh: 1, sw: 1, dh: 1, dw: 1, groups, top: 0, bottom: 0, left: 0, right: 0, last: false,
  };
  const mul = { fn: 'binary', op: 'mul', with: 1, swap: false, strides: [C, 1, 0, 0] }, strides = [48 * C, 48, 8, 1];
  const steps = [
    { kind: 'map', x: [x, s], y: scaled, strides, tail: [mul], where: 'scale', flops: 0 },
    { kind: 'conv', x: [scaled], y, g, w: value([8, C / groups, 1, 1], 'linear', true), bias: null, tail: [], where: 'conv', flops: 0 },
  ];
  const segment = { on: 'gpu', steps, uploads: [], downloads: [] };
  return /** @type {GpuPlan} */ (/** @type {any} */ ({ segments: [segment], values: [x, s, scaled, y], known: [] }));
}

test('a convolution takes in the scaling before it', () => {
  const plan = scaledConv(1, 12), [[scale, conv]] = absorb(plan, 8);
  assert.equal(scale, null);
  assert.deepEqual(conv?.x.map(({ name }) => name), [plan.values[0].name, plan.values[1].name]);
  const [{ source }] = drawsOf(/** @type {any} */ (conv));
  assert.match(source.text, /vec4 s = vec4\(1\.\) \* x1\(/);
});

test('the scaling stays where somebody else reads it, or the convolution has groups', () => {
  const read = scaledConv(1, 12), grouped = scaledConv(2, 16);
  const [segment] = /** @type {any} */ (read.segments);
  segment.downloads.push(read.values[2]);
  for (const plan of [read, grouped]) assert.ok(absorb(plan, 8)[0].every((step) => step));
  assert.ok(absorb(scaledConv(1, 12), 1)[0].every((step) => step)); // no unit left for another texture
});

test("a driver's complaint comes with the line that it means", () => {
  const told = explain("ERROR: 0:2: 'x' : undeclared\nERROR: 0:99: beyond\n\0", 'one;\n  two;\nthree;');
  assert.equal(told, "ERROR: 0:2: 'x' : undeclared ← line 2: two;; ERROR: 0:99: beyond");
});
