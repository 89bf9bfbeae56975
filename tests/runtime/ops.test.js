// Every operator case computed by Paddle, in the WASM backend.
import test from 'node:test';
import { checkCase, families, kernels, readCases } from './cases.js';

const wasm = await kernels();

for (const family of families()) {
  test(`cases of ${family}`, async (t) => {
    for (const one of readCases(family)) await t.test(one.name, () => checkCase(one, wasm));
  });
}
