// Preprocessing against the shared vectors, its refusals, and pictures' headers.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { imageSize } from '../../static/media/image_size.js';
import { checkSpec, geometry, preprocess, Preprocessor } from '../../static/runtime/preprocess.js';

const { pictures, cases } = JSON.parse(readFileSync(new URL('../cases/preprocess.json', import.meta.url), 'utf8'));

/** @param {string} name */
const pictureOf = (name) => ({ ...pictures[name], data: Uint8ClampedArray.from(pictures[name].data) });

const spec = checkSpec(cases[0].spec, [{ name: 'x' }]);

for (const { name, picture, spec: raw, shape, data, tol } of cases) {
  test(`preprocess ${name}`, () => {
    const result = preprocess(checkSpec(raw, [{ name: 'x' }]), pictureOf(picture));
    assert.deepEqual(result.shape, shape);
    assert.ok(result.data instanceof Float32Array);
    const worst = Math.max(...data.map((/** @type {number} */ value, /** @type {number} */ i) => Math.abs(value - result.data[i])));
    assert.equal(result.data.length, data.length);
    assert.ok(worst <= tol, `off by ${worst}, allowed ${tol}`);
  });
}

test('frames of one size share buffers, a new size gets its own, and each is right', () => {
  const prepared = new Preprocessor(spec);
  const wide = pictureOf('wide'), tall = pictureOf('tall');
  const first = prepared.run(wide).data;
  const expected = [...first];
  wide.data.fill(0);
  assert.equal(prepared.run(wide).data, first);
  assert.notDeepEqual([...first], expected);
  assert.deepEqual(prepared.run(tall).data, preprocess(spec, tall).data);
  assert.deepEqual([...prepared.run(pictureOf('wide')).data], expected);
});

test('a picture whose bytes do not fit its size is refused', () => {
  for (const picture of [{ data: new Uint8ClampedArray(12), width: 2, height: 2 }, { data: new Uint8ClampedArray(0), width: 0, height: 0 },
    { data: /** @type {any} */ (new Float32Array(16)), width: 2, height: 2 }]) {
    assert.throws(() => preprocess(spec, picture), { code: 'invalid_input' });
  }
});

test('a crop larger than the picture is refused', () => {
  const cropped = checkSpec({ ...spec, size: null, crop: [10, 10] }, [{ name: 'x' }]);
  assert.throws(() => preprocess(cropped, pictureOf('wide')), { code: 'invalid_input', message: /14×9.*crop of 10×10/ });
});

test('PP-OCR sizes: sides cut to integers, then to the nearest multiple, halves up', () => {
  const limit = checkSpec({ ...spec, size: null, resize: 'limit', limit: { side: 960, type: 'max', multiple: 32 } }, [{ name: 'x' }]);
  /** @param {number} height @param {number} width */
  const size = (height, width) => Object.values(geometry(limit, { height, width }).out);
  assert.deepEqual(size(1080, 1920), [544, 960]);
  assert.deepEqual(size(80, 112), [96, 128]); // 2.5 -> 3, 3.5 -> 4
  assert.deepEqual(size(5, 960), [32, 960]);
});

/** @type {[string, any][]} */
const BAD_SPECS = [
  ['input', 'q'], ['size', [0, 8]], ['size', [8]], ['size', [1e9, 1]], ['resize', 'squash'], ['interpolation', 'cubic'],
  ['crop', 'centre'], ['padValue', NaN], ['channels', 'cmyk'], ['layout', 'chwn'], ['scale', '1'], ['mean', [1]],
  ['std', [1, 0, 1]], ['std', undefined],
];
for (const [key, value] of BAD_SPECS) {
  test(`refused: preprocess.${key} = ${JSON.stringify(value)}`, () => {
    assert.throws(() => checkSpec({ ...spec, [key]: value }, [{ name: 'x' }]), { code: 'invalid_model', message: new RegExp(`preprocess\\.${key}`) });
  });
}

test('resize modes that need a size or a limit say so', () => {
  assert.throws(() => checkSpec({ ...spec, resize: 'fit', size: null }, [{ name: 'x' }]), /preprocess\.size/);
  assert.throws(() => checkSpec({ ...spec, resize: 'limit', limit: null }, [{ name: 'x' }]), /preprocess\.limit/);
});

test('the size of a picture from its first bytes', () => {
  /** @param {string} hex */
  const of = (hex) => imageSize(Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex')));
  assert.deepEqual(of('89504e470d0a1a0a 0000000d 49484452 00001388 00000fa0'), { width: 5000, height: 4000 });
  assert.deepEqual(of('474946383961 0a01 0500'), { width: 266, height: 5 });
  assert.deepEqual(of('ffd8 ffe00004aabb ffdb0003cc ffc2000b08 0100 0203 01'), { width: 515, height: 256 });
  assert.deepEqual(of(`424d${'00'.repeat(16)} 05000000 f9ffffff`), { width: 5, height: 7 });
  assert.deepEqual(of('52494646 00000000 57454250 56503858 0a000000 00000000 ff0f00 0f0000'), { width: 4096, height: 16 });
  assert.deepEqual(of(`52494646 00000000 57454250 56503820 00000000 ${'00'.repeat(6)} 2001 f000`), { width: 288, height: 240 });
  assert.deepEqual(of('52494646 00000000 57454250 5650384c 00000000 2f ff c00f 00'), { width: 256, height: 64 });
  assert.equal(of('ffd8 ffe0ffff'), null);
  assert.equal(of('00'), null);
  assert.equal(of('255044462d312e34'), null);
});
