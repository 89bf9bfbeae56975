"""How sizes and tensors are written."""

import pytest

from webapp.words import filesize, tensor


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1 KB"), (15_400, "15 KB"), (999_499, "999 KB"),
     (999_500, "1.0 MB"), (1_250_000, "1.2 MB"), (99_960_000, "100 MB"), (999_500_000, "1.0 GB")],
)  # fmt: skip
def test_filesize(count: int, text: str):
    assert filesize(count) == text


def test_tensor():
    assert tensor({"name": "x", "dtype": "float32", "shape": ["x.0", 3, -1, 224]}) == "x: float32[?, 3, ?, 224]"
