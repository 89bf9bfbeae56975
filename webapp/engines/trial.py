"""A new engine has to show itself before it answers anyone: names, shapes and numbers, on zeros and on noise."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from webapp.bundle import Bundle, NoPictures, picture_spec
from webapp.engines.base import Arrays, Engine, EngineError, RunError
from webapp.tensors import NAMES

SEED = 20261121
TRIAL_S = 60.0
FREE_SIDE = 224  # height and width where neither the model nor its preprocessing says


def trial_shape(bundle: Bundle, entry: Mapping[str, Any]) -> list[int]:
    """A legal shape of an input: a batch of one, and the picture's size where the model leaves it open."""
    declared = entry["shape"]
    try:
        spec = picture_spec(bundle)
    except NoPictures:
        spec = {}
    size = spec.get("crop") or spec.get("size") or [FREE_SIDE, FREE_SIDE]
    first = 1 if spec.get("layout") == "nhwc" else 2
    free = dict(zip((first, first + 1), size, strict=True)) if len(declared) == 4 else {}
    return [size if isinstance(size, int) and size >= 0 else free.get(axis, 1) for axis, size in enumerate(declared)]


def trial_feeds(bundle: Bundle, seed: int | None) -> Arrays:
    """Zeros, or seeded noise: between 0 and 1, whole numbers 0 and 1."""
    dice = np.random.default_rng(seed)
    feeds = {}
    for entry in bundle.inputs:
        shape, dtype = trial_shape(bundle, entry), np.dtype(entry["dtype"])
        if seed is None:
            feeds[entry["name"]] = np.zeros(shape, dtype)
        elif dtype.kind == "f":
            feeds[entry["name"]] = dice.random(shape).astype(dtype)
        else:
            feeds[entry["name"]] = dice.integers(0, 2, shape).astype(dtype)
    return feeds


def check_output(name: str, array: np.ndarray, entry: Mapping[str, Any], sizes: Mapping[str, int]) -> None:
    """Raise EngineError unless dtype, shape and numbers are what the bundle promises."""
    if array.dtype.name != entry["dtype"]:
        raise EngineError(f"output {name!r} is {array.dtype.name}; model.json declares {entry['dtype']}")
    declared: Sequence[Any] = entry["shape"]
    known = [sizes.get(size) if isinstance(size, str) else size for size in declared]
    fits = len(known) == array.ndim and all(
        size == mine for size, mine in zip(array.shape, known, strict=True) if mine is not None and mine >= 0
    )
    if not fits:
        raise EngineError(f"output {name!r} has the shape {list(array.shape)}; model.json declares {list(declared)}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise EngineError(f"output {name!r} is not finite on the trial input")


def trial(engine: Engine, bundle: Bundle) -> None:
    """Run twice and compare with what model.json declares; this also warms the engine. Raises EngineError."""
    unknown = [entry["name"] for entry in [*bundle.inputs, *bundle.outputs] if entry["dtype"] not in NAMES]
    if unknown:
        raise EngineError(f"the protocol has no datatype for {', '.join(unknown)}")
    for seed in (None, SEED):
        feeds = trial_feeds(bundle, seed)
        sizes = {
            symbol: size
            for entry in bundle.inputs
            for symbol, size in zip(entry["shape"], feeds[entry["name"]].shape, strict=True)
            if isinstance(symbol, str) and not symbol.startswith("?")
        }
        try:
            results = engine.run(feeds, TRIAL_S)
        except RunError as error:
            raise EngineError(f"the trial run failed: {engine.broken or error}", passing=error.status != 422) from error
        for entry in bundle.outputs:
            if entry["name"] not in results:
                raise EngineError(f"there is no output {entry['name']!r}, only {sorted(results)}")
            check_output(entry["name"], results[entry["name"]], entry, sizes)
