"""Damage at random: whatever a file has become, it is read or refused with a ConvertError, never a crash."""

import json
import random

import pytest
from programs import small_legacy, small_pir

from converter import ConvertError, convert
from converter.read import read

ROUNDS = 150


def attempt(path) -> bool:
    """Whether it was refused."""
    try:
        read(path)
    except ConvertError:
        return True
    return False


@pytest.mark.parametrize("name", ["inference.pdmodel", "inference.pdiparams"])
def test_flipped_bytes(tmp_path, name):
    rng, folder = random.Random(name), small_legacy().save(tmp_path / "m")
    whole = (folder / name).read_bytes()
    refused = 0
    for _ in range(ROUNDS):
        data = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        (folder / name).write_bytes(data)
        refused += attempt(folder)
    assert refused > ROUNDS // 10


def places(node, path=()):
    """The path of every value inside parsed JSON."""
    if path:
        yield path
    for key, child in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        yield from places(child, (*path, key))


def changed(text: str, rng: random.Random):
    """The document with one value removed or replaced."""
    data = json.loads(text)
    *path, last = rng.choice(list(places(data)))
    parent = data
    for key in path:
        parent = parent[key]
    value = rng.choice(["remove", None, -1, 7, 10**18, "zz", [], {}, 0.5])
    if value == "remove":
        del parent[last]
    else:
        parent[last] = value
    return data


@pytest.mark.parametrize("kind", ["pir", "bundle"])
def test_changed_json(tmp_path, kind):
    rng, folder, name = random.Random(kind), small_pir().save(tmp_path / "m"), "inference.json"
    if kind == "bundle":
        convert(folder, tmp_path / "b", verify=False)
        folder, name = tmp_path / "b", "model.json"
    text = (folder / name).read_text()
    refused = 0
    for _ in range(ROUNDS):
        (folder / name).write_text(json.dumps(changed(text, rng)))
        refused += attempt(folder)
    assert refused > ROUNDS // 10
