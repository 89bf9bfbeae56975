"""The int8 operators in Chromium's WASM, whose kernels choose between ways to add up products of bytes."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.conftest import CHROMIUM_FLAGS, chromium_path
from tests.runtime.browser_kit import Site, running
from tests.runtime.gpu_kit import script_files
from tests.runtime.random_cases import Draw
from tests.runtime.test_random_cases import case_of

pytestmark = pytest.mark.browser

RANDOM = 500
# How far each case is beyond its tolerance; of whole numbers the tolerance is 0.
CHECK = """async (file) => {
  const { graphOf, parseCases, worstOfTwo } = await import('/tests/runtime/case_graph.js');
  const { createEngine } = await import('/static/runtime/engine.js');
  const { kernels } = await import('/static/runtime/kernels.js');
  const wasm = await kernels(), found = [];
  for (const item of parseCases(await (await fetch(file)).text())) {
    const { graph, weights, feeds } = graphOf(item), engine = await createEngine(graph, weights, { wasm });
    found.push(await worstOfTwo(engine, feeds, item) - item.tol);
    engine.dispose();
  }
  return found;
}"""


class Seeded(Draw):
    """The same draws every time, without Hypothesis."""

    def __init__(self, seed: int) -> None:
        self.drawn = np.random.default_rng(seed)

    def int(self, low: int, high: int) -> int:
        return int(self.drawn.integers(low, high + 1))

    def pick(self, *choices: Any) -> Any:
        return choices[self.int(0, len(choices) - 1)]

    def flag(self) -> bool:
        return self.pick(False, True)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with running(script_files()) as served:
        drawn = [case_of("conv2d_int8", Seeded(seed)) for seed in range(RANDOM)]
        served.files["/random.json"] = json.dumps([case for case in drawn if case]).encode()
        yield served


@pytest.mark.parametrize("flags", ["", "--no-enable-avx-vnni", "--no-liftoff", "--no-liftoff --no-enable-avx-vnni"])
def test_int8_is_the_same_whatever_the_processor_has(browser: Any, site: Site, flags: str) -> None:
    """flags: of V8: what it may use of the processor, and which of its compilers."""
    given = [*CHROMIUM_FLAGS, f"--js-flags={flags}"]
    chromium = browser.browser_type.launch(executable_path=chromium_path(), args=given)
    try:
        page = chromium.new_page()
        page.goto(site.url)
        for file, least in (("/tests/cases/quant.json", 60), ("/random.json", RANDOM // 2)):
            cases, found = json.loads(site.files[file]), page.evaluate(CHECK, file)
            assert len(cases) == len(found) > least
            wrong = [(case["name"], case["attrs"]) for case, worst in zip(cases, found, strict=True) if not worst <= 0]
            assert not wrong
    finally:
        chromium.close()
