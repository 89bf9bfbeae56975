// worker.js names every module that its start needs: with one left out, a visitor on a slow line waits once more.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import test from 'node:test';

const IMPORT = /^(?:import|export)\b[^;'"]*?(?:from )?'(\.[^']+)';/gm;

/** @param {URL} module @returns {Promise<string[]>} what it imports itself */
async function imports(module) {
  const text = await readFile(module, 'utf8');
  return [...text.matchAll(IMPORT)].map((found) => new URL(found[1], module).href);
}

/** @param {string} module @param {Set<string>} seen extended by all that it needs */
async function follow(module, seen) {
  for (const next of await imports(new URL(module))) {
    if (seen.has(next)) continue;
    seen.add(next);
    await follow(next, seen);
  }
  return seen;
}

test('the worker names all it starts with', async () => {
  const worker = new URL('../../static/runtime/worker.js', import.meta.url);
  const named = await imports(worker), needed = await follow(worker.href, new Set());
  assert.ok(needed.size > 20);
  assert.deepEqual([...named].sort(), [...needed].sort());
  assert.equal(new Set(named).size, named.length);
});
