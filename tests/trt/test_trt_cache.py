"""The folder of engines: what stays, what makes room, and what is left alone."""

import fcntl
import os
import time
from pathlib import Path

import pytest

from trt import EngineCache, Recipe, Shapes

KB = 1024
RECIPE = Recipe("fp16", {"image": Shapes((1, 3), (2, 3), (4, 3))})


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path)


def engine(cache: EngineCache, letter: str, hours: float, size: int = 10 * KB) -> Path:
    """An engine that was last used so long ago."""
    path = cache.path(letter * 64, "8.5.3.1", "NVIDIA Odd (sm_90)", RECIPE)
    cache.store(path, bytes(size - 32))
    aged(path, hours)
    return path


def aged(path: Path, hours: float) -> Path:
    path.touch()
    then = time.time() - 3600 * hours
    os.utime(path, (then, then))
    return path


def test_those_unused_for_longest_make_room(cache: EngineCache):
    a, b, c = (engine(cache, letter, hours) for letter, hours in (("a", 3), ("b", 1), ("c", 2)))
    assert cache.prune(30 * KB) == [] and cache.prune(29 * KB) == [a]
    cache.touch(c)
    assert cache.prune(15 * KB) == [b]
    assert cache.load(c) is not None and not a.exists() and not b.exists()


def test_what_is_in_use_stays_and_counts(cache: EngineCache):
    a, b, c = (engine(cache, letter, hours) for letter, hours in (("a", 9), ("b", 1), ("c", 2)))
    assert cache.prune(20 * KB, {a}) == [c] and a.exists() and b.exists()
    assert cache.prune(1, {a, b}) == []


def test_what_belongs_to_an_engine_goes_with_it(cache: EngineCache, tmp_path: Path):
    a, b = engine(cache, "a", 3), engine(cache, "b", 1)
    for path in (a, b):
        for end in (".progress", ".table", ".lock"):
            aged(path.with_suffix(end), 1)
    cache.prune(10 * KB)
    assert sorted(tmp_path.iterdir()) == sorted([b, *(b.with_suffix(e) for e in (".progress", ".table", ".lock"))])


def test_what_failed_builds_leave_goes_after_a_day(cache: EngineCache, tmp_path: Path):
    name = engine(cache, "a", 0).name.replace("a" * 24, "f" * 24)
    old = [aged(tmp_path / name.replace(".engine", end), 30) for end in (".progress", ".lock", ".progressab.part")]
    old.append(aged(tmp_path / f"{name}xy.part", 30))
    new = aged(tmp_path / name.replace(".engine", ".table"), 2)
    cache.prune(1 << 30)
    assert not [path for path in old if path.exists()] and new.exists()


def test_a_build_under_way_keeps_its_lock(cache: EngineCache, tmp_path: Path):
    lock = aged(tmp_path / engine(cache, "a", 0).name.replace("a" * 24, "f" * 24).replace(".engine", ".lock"), 30)
    with lock.open("ab") as held:
        fcntl.flock(held.fileno(), fcntl.LOCK_EX)
        cache.prune(1 << 30)
        assert lock.exists()
    cache.prune(1 << 30)
    assert not lock.exists()


def test_other_files_are_left_alone(cache: EngineCache, tmp_path: Path):
    engine(cache, "a", 3)
    others = [aged(tmp_path / name, 99) for name in ("my.engine", "notes.txt", "8-5-3-1-NVIDIA-Odd-sm-90.timing")]
    assert len(cache.prune(0)) == 1
    assert sorted(tmp_path.iterdir()) == sorted(others)
