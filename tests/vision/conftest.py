"""What the browser tests of the vision pages share."""

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    """A page without a service worker."""
    context = browser.new_context(service_workers="block")
    try:
        yield context.new_page()
    finally:
        context.close()
