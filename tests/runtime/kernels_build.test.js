// build.py: the same bytes every time, no work when nothing changed, a clear word when the compiler is missing.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

const BUILD = fileURLToPath(new URL('../../static/runtime/wasm/build.py', import.meta.url));
const PYTHON = process.env.PYTHON ?? 'python3';

/** @param {string[]} args @param {string[]} [flags] of Python */
const build = (args, flags = []) => spawnSync(PYTHON, [...flags, BUILD, ...args], { encoding: 'utf8' });

test('two builds are equal, a third is skipped, a damaged file is built again', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kernels-'));
  try {
    const [one, two] = ['one.wasm', 'two.wasm'].map((name) => join(folder, 'new', name));
    for (const out of [one, two]) assert.match(build(['--out', out]).stdout, /: built, \d+ bytes/);
    assert.deepEqual(readFileSync(one), readFileSync(two));
    assert.match(build(['--out', one]).stdout, /: up to date/);
    writeFileSync(one, readFileSync(one).subarray(0, 1000));
    assert.match(build(['--out', one]).stdout, /: built/);
    assert.deepEqual(readFileSync(one), readFileSync(two));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('without zig it says what to install', () => {
  const { status, stderr } = build(['--out', join(tmpdir(), 'never.wasm')], ['-S', '-E']);
  assert.equal(status, 1);
  assert.match(stderr, /build\.py: .*zig.*pip install ziglang==/);
  assert.doesNotMatch(stderr, /Traceback/);
});
