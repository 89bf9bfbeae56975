"""The int8 operators in Chromium's WASM, whose kernels choose between ways to add up products of bytes."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import CHROMIUM_FLAGS, chromium_path
from tests.runtime.browser_kit import Site, running
from tests.runtime.gpu_kit import script_files

pytestmark = pytest.mark.browser

# Every case of the family, twice: how far beyond its tolerance each is; of whole numbers the tolerance is 0.
CHECK = """async () => {
  const { deviation, graphOf, parseCases } = await import('/tests/runtime/case_graph.js');
  const { createEngine } = await import('/static/runtime/engine.js');
  const { kernels } = await import('/static/runtime/kernels.js');
  const wasm = await kernels(), found = {};
  for (const item of parseCases(await (await fetch('/tests/cases/quant.json')).text())) {
    const { graph, weights, feeds } = graphOf(item), engine = await createEngine(graph, weights, { wasm });
    let worst = -Infinity;
    for (let i = 0; i < 2; i++) {
      const out = await engine.run(feeds);
      for (const [slot, tensors] of Object.entries(item.outputs)) {
        tensors.forEach((expected, k) => {
          worst = Math.max(worst, deviation(out[`${slot}_${k}`], expected) - item.tol);
        });
      }
    }
    engine.dispose();
    found[item.name] = worst;
  }
  return found;
}"""


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with running(script_files()) as served:
        yield served


@pytest.mark.parametrize("flags", ["", "--no-enable-avx-vnni", "--no-liftoff", "--no-liftoff --no-enable-avx-vnni"])
def test_int8_is_the_same_whatever_the_processor_has(browser: Any, site: Site, flags: str) -> None:
    """flags: of V8: what it may use of the processor, and which of its compilers."""
    given = [*CHROMIUM_FLAGS, f"--js-flags={flags}"]
    chromium = browser.browser_type.launch(executable_path=chromium_path(), args=given)
    try:
        page = chromium.new_page()
        page.goto(site.url)
        found = page.evaluate(CHECK)
    finally:
        chromium.close()
    assert len(found) > 60
    assert not {name: worst for name, worst in found.items() if not worst <= 0}
