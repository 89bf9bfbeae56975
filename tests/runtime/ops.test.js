// Every operator case computed by Paddle, in the WASM backend, in both builds.
import test from 'node:test';
import { BUILDS, checkCase, families, kernels, readCases } from './cases.js';

for (const build of BUILDS) {
  const wasm = await kernels(build);
  for (const family of families()) {
    test(`cases of ${family}, ${build}`, async (t) => {
      for (const one of readCases(family)) await t.test(one.name, () => checkCase(one, wasm));
    });
  }
}
