"""Weights are sent compressed once that was done aside, and never sent again to who has them."""

import brotli
import numpy as np
import pytest
from flask import Flask

from webapp import assets
from webapp.assets import IMMUTABLE, Asset
from webapp.squeeze import Squeezer

HALVES = np.random.default_rng(0).standard_normal(20_000).astype(np.float16).tobytes()
NOISE = np.random.default_rng(0).bytes(40_000)


@pytest.fixture
def squeezer(monkeypatch) -> Squeezer:
    made = Squeezer()
    monkeypatch.setattr(assets, "squeezer", made)
    return made


def asked(asset: Asset, **headers: str):
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    with Flask(__name__).test_request_context(headers=given):
        return asset.respond(IMMUTABLE)


def test_weights_come_compressed_to_the_second_visitor(tmp_path, squeezer):
    path = tmp_path / "chunk_1.dat"
    path.write_bytes(HALVES)
    asset = Asset(path, "a" * 64, len(HALVES))
    first = asked(asset, Accept_Encoding="br")
    assert first.data == HALVES and "Content-Encoding" not in first.headers
    squeezer.work.join()
    second = asked(asset, Accept_Encoding="gzip, br")
    assert second.headers["Content-Encoding"] == "br"
    assert brotli.decompress(second.data) == HALVES and len(second.data) < 0.95 * len(HALVES)
    assert "Accept-Encoding" in second.vary
    assert asked(asset, Accept_Encoding="gzip").data == HALVES
    assert asked(asset, Accept_Encoding="br", If_None_Match=first.headers["ETag"]).status_code == 304
    assert asked(asset, Accept_Encoding="br", If_None_Match=second.headers["ETag"]).status_code == 304


def test_what_does_not_shrink_is_sent_as_it_is_and_tried_once(tmp_path, squeezer):
    path = tmp_path / "chunk_1.dat"
    path.write_bytes(NOISE)
    asset = Asset(path, "b" * 64, len(NOISE))
    for _ in range(2):
        assert asked(asset, Accept_Encoding="br").data == NOISE
        squeezer.work.join()
    assert squeezer.asked == {"b" * 64} and not squeezer.kept


def test_there_is_room_for_so_much_and_the_idle_make_room():
    squeezer = Squeezer(most_bytes=60_000)
    for name in ("a", "b"):
        squeezer.body(name, lambda: HALVES)
    squeezer.work.join()
    assert set(squeezer.kept) == {"a"}
    squeezer.idle_s = -1
    squeezer.body("c", lambda: HALVES)
    squeezer.work.join()
    assert set(squeezer.kept) == {"c"} and squeezer.asked == {"b", "c"}


def test_a_model_that_went_away_stops_nobody(tmp_path):
    squeezer = Squeezer()
    squeezer.body("gone", (tmp_path / "none.dat").read_bytes)
    squeezer.body("here", lambda: HALVES)
    squeezer.work.join()
    assert set(squeezer.kept) == {"here"}
