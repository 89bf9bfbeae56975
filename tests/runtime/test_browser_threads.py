"""Helper threads in Chromium: they help where the page is isolated, and nothing breaks where it is not."""

from collections.abc import Iterator
from typing import Any

import pytest
from browser_kit import Site, make_bundle, running

pytestmark = pytest.mark.browser

PROBE = """
import { createBackend } from '/static/runtime/backends/wasm.js';
import { compile } from '/static/runtime/kernels.js';
import { defaultThreads } from '/static/runtime/backends/wasm_threads.js';
const n = 1 << 18, exp = [12, { f32: 0 }, { f32: 0 }, { f32: 0 }];
const steps = [{ kernel: 'unary', args: [{ arena: 0 }, { arena: 4 * n }, n, ...exp], where: '', work: 8 * n }];
const port = { dtype: 'float32', shape: [n], known: false };
const plan = {
  inputs: [{ ...port, name: 'x', at: { arena: 0 } }], outputs: [{ ...port, name: 'y', at: { arena: 4 * n } }], steps,
  arenaBytes: 8 * n, data: new Uint8Array(0), weights: [],
};
onmessage = async ({ data: { strict } }) => {
  const module = await compile(fetch(`/static/runtime/wasm/kernels${strict ? '.strict' : ''}.wasm`));
  const x = Float32Array.from({ length: n }, (_, i) => Math.sin(i)), run = (backend) => {
    const y = new Float32Array(n);
    backend.run(backend.prepared[0], [x], [y]);
    return y;
  };
  const alone = await createBackend(module, new Map(), { threads: 1 });
  const shared = await createBackend(module, new Map(), { threads: 3, stress: true });
  for (const backend of [alone, shared]) backend.prepare([plan]);
  const want = run(alone), end = performance.now() + 20000;
  let wrong = 0, runs = 0;
  while (performance.now() < end && (runs < 50 || !shared.kernels.helped())) {
    wrong += run(shared).some((v, i) => v !== want[i]) ? 1 : 0;
    runs++;
    await new Promise((resolve) => { setTimeout(resolve, 1); });
  }
  shared.dispose();
  const helped = shared.kernels.helped(), cores = navigator.hardwareConcurrency;
  postMessage({ helped, wrong, threads: defaultThreads(), cores });
};
"""
START = """(strict) => new Promise((resolve, reject) => {
  const worker = new Worker('/probe/probe.js', { type: 'module' });
  worker.onmessage = ({ data }) => resolve(data);
  worker.onerror = (event) => reject(new Error(event.message));
  worker.postMessage({ strict });
})"""
LOOSE = {"Cross-Origin-Opener-Policy": "unsafe-none", "Cross-Origin-Embedder-Policy": "unsafe-none"}


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with running({"probe": {"probe.js": PROBE.encode()}, "small": make_bundle()}) as site:
        yield site


@pytest.fixture
def page(browser: Any, site: Site) -> Iterator[Any]:
    site.reset()
    context = browser.new_context()
    page = context.new_page()
    yield page
    context.close()


@pytest.mark.parametrize("strict", [False, True])
def test_helpers_compute_the_same_bits(page: Any, site: Site, strict: bool):
    page.goto(site.url + "/")
    found = page.evaluate(START, strict)
    assert found["helped"] > 0 and found["wrong"] == 0
    assert found["threads"] == min(found["cores"], 4) or found["cores"] > 4


RUN = """async ({ bundle, size }) => {
  const { load } = await import('/static/runtime/index.js');
  const model = await load(bundle), data = new Float32Array(3 * size * size).fill(0.5);
  const { y } = await model.run({ x: { data, shape: [1, 3, size, size] } });
  const fine = y.data.every(Number.isFinite);
  await new Promise((resolve) => { setTimeout(resolve, 500); }); // helpers are fetched while the model runs
  await model.dispose();
  return fine;
}"""


@pytest.mark.parametrize(("size", "isolated", "fetched"), [(512, True, True), (512, False, False), (16, True, False)])
def test_helpers_come_where_they_may_and_where_they_pay(
    page: Any, site: Site, size: int, isolated: bool, fetched: bool
):
    if not isolated:
        site.faults["/"] = lambda nth, body: (200, LOOSE, body)
    page.goto(site.url + "/")
    assert page.evaluate("crossOriginIsolated") is isolated
    assert page.evaluate(RUN, {"bundle": f"{site.url}/small/", "size": size})
    assert any(path.endswith("wasm_helper.js") for path in site.asked) is fetched
    assert [path.rsplit("/", 1)[1] for path in site.asked if path.endswith(".wasm")] == ["kernels.wasm"]
