"""What the tests of both GPU backends stand on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.browser_kit import Site, make_bundle, running
from tests.runtime.gpu_kit import Bundles, launch, script_files


@pytest.fixture(scope="module")
def gpu(browser: Any) -> Iterator[Any]:
    """A Chromium whose GPU is the CPU."""
    chromium = launch(browser)
    try:
        yield chromium
    finally:
        chromium.close()


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A server with a small bundle and the tests' scripts."""
    with running({"small": make_bundle(), **script_files()}) as served:
        yield served


@pytest.fixture(scope="module")
def bundles(shared_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundles:
    """The real models, converted."""
    return Bundles(shared_dir / "models", tmp_path_factory.mktemp("bundles"))
