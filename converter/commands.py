"""One function per command of the command line; each returns an exit code."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from converter import inspect_model, tensorrt_target, zoo
from converter.answer import describe, load_arrays, load_picture, times_text
from converter.convert import Report, convert
from converter.difference import diff
from converter.errors import ConvertError
from converter.inspect_model import bytes_text
from converter.progress import Progress
from converter.publish import Pushed, pull, push, read_model
from converter.read.metadata import read_json, read_labels
from converter.run import timed
from converter.targets import Options
from converter.verify import Check, verify

# --option → key of the bundle's preprocessing spec
_PREPROCESS = {"mean": "mean", "std": "std", "scale": "scale", "channels": "channels", "layout": "layout",
               "resize": "resize", "size": "size", "crop": "crop", "interpolation": "interpolation",
               "pad_value": "padValue", "picture_input": "input"}


def convert_command(arguments: argparse.Namespace) -> int:
    with Progress(enabled=not arguments.quiet) as progress:
        report = convert(
            arguments.model, arguments.output, target=arguments.target, targets=arguments.targets,
            options=_options(arguments), model_version=arguments.model_version, said=arguments.said,
            precision=arguments.precision, calibrate=arguments.calibrate, error_budget=arguments.error_budget,
            preprocess=_preprocess(arguments), bake=_bakes(arguments),
            postprocess=read_json(arguments.postprocess, dict) if arguments.postprocess else None,
            labels=read_labels(arguments.labels) if arguments.labels else None, name=arguments.name,
            params=arguments.params, input_shapes=dict(arguments.input_shape), verify=not arguments.no_verify,
            tolerance=arguments.tolerance, progress=progress)
    if not arguments.quiet:
        print(report_text(report))
    return 0


def _options(arguments: argparse.Namespace) -> Options:
    return Options(arguments.opset, arguments.onnx_road, arguments.paddle2onnx, arguments.lite_targets,
                   arguments.paddle_lite_opt, arguments.paddle_lite_install,
                   tensorrt_target.Options(tuple(arguments.tensorrt_shape), arguments.tensorrt_workspace,
                                           arguments.tensorrt_seconds, arguments.tensorrt_quick),
                   arguments.keep_going, not arguments.no_report)


def _bakes(arguments: argparse.Namespace) -> bool:
    """Whether --preprocess bake was said; a file of that name is ./bake."""
    return str(arguments.preprocess) == "bake"


def _preprocess(arguments: argparse.Namespace) -> dict[str, Any]:
    """The spec that the options say, over the file that --preprocess names."""
    spec = read_json(arguments.preprocess, dict) if arguments.preprocess and not _bakes(arguments) else {}
    spec |= {key: value for option, key in _PREPROCESS.items() if (value := getattr(arguments, option)) is not None}
    if arguments.limit_side is not None:
        spec["limit"] = {"side": arguments.limit_side, "type": arguments.limit_type or "max",
                         "multiple": arguments.limit_multiple or 32}
        spec.setdefault("resize", "limit")
    elif arguments.limit_type or arguments.limit_multiple:
        raise ConvertError("--limit-type and --limit-multiple need --limit-side", where="preprocess")
    return spec


def report_text(report: Report) -> str:
    """The closing report of a conversion."""
    sizes = report.sizes
    chunks = "1 chunk" if sizes["chunks"] == 1 else f"{sizes['chunks']} chunks"
    lines = [f"{report.out}", f"  operators  {_counts(report)}",
             f"  size       {bytes_text(sizes['weight_bytes'])} of weights in {chunks}, "
             f"{bytes_text(sizes['json_bytes'])} of model.json"]
    if "onnx_bytes" in sizes:
        lines.append(f"  onnx       {bytes_text(sizes['onnx_bytes'])}, operator set {sizes['onnx_opset']}")
    lines += [f"  {name.removesuffix('_bytes').replace('_', ' '):10} {bytes_text(size)}"
              for name, size in sizes.items() if name.startswith("lite_")]
    if sizes["float16_weights"]:
        lines.append(f"  precision  {sizes['float16_weights']} weights are float16")
    lines += [f"  worst error {_check_text(check)}" for check in report.checks]
    if not report.checks:
        lines.append("  not verified")
    lines += [f"  refused    {reason}" for reason in report.refused]
    lines += [f"  note: {note}" for note in report.notes]
    return "\n".join(lines)


def _counts(report: Report) -> str:
    before, after = sum(report.before.values()), sum(report.after.values())
    shown = ", ".join(f"{count} {type}" for type, count in report.after.most_common(6))
    return f"{before} → {after} ({shown}{', …' if len(report.after) > 6 else ''})"


def _check_text(check: Check) -> str:
    verdict = "" if check.passed else f"  ABOVE the limit {check.tolerance:g}"
    note = f" ({check.note})" if check.note else ""
    return f"{check.error:.2e} of the range of {check.output}, {check.engine}{note}{verdict}"


def run_command(arguments: argparse.Namespace) -> int:
    model = read_model(arguments.bundle)
    given = arguments.input
    feeds = load_arrays(given) if given.suffix == ".npz" else load_picture(given, model.get("preprocess"))
    outputs, times = timed(arguments.bundle, feeds, arguments.engine, arguments.repeat, arguments.paddle_lite_opt)
    if arguments.output is not None:
        save_arrays(arguments.output, outputs)
    labels = model.get("labels")
    print("\n".join(describe(outputs, labels if isinstance(labels, list) else None)))
    if arguments.repeat > 1:
        print(f"{arguments.engine}: {times_text(times)}")
    return 0


def inspect_command(arguments: argparse.Namespace) -> int:
    text, supported = inspect_model.describe(arguments.model, arguments.params, not arguments.brief)
    sys.stdout.write(text)
    sys.stdout.flush()
    return 0 if supported else 1


def verify_command(arguments: argparse.Namespace) -> int:
    feeds = load_arrays(arguments.input) if arguments.input else None
    with Progress() as progress:
        checks, notes = verify(arguments.bundle, arguments.model, params=arguments.params, feeds=feeds,
                               input_shapes=dict(arguments.input_shape), tolerance=arguments.tolerance,
                               progress=progress)
    for line in [*map(_check_text, checks), *(f"note: {note}" for note in notes)]:
        print(line)
    return 0 if all(check.passed for check in checks) else 1


def save_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an .npz whole or not at all."""
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as folder:
            part = Path(folder) / "arrays.npz"
            np.savez(part, **arrays)  # type: ignore[arg-type]
            part.replace(path)
    except OSError as error:
        raise ConvertError(f"cannot write: {error.strerror}", where=str(path)) from error


def diff_command(arguments: argparse.Namespace) -> int:
    lines = diff(arguments.first, arguments.second)
    print("\n".join(lines) if lines else "the bundles hold the same model")
    return 1 if lines else 0


def push_command(arguments: argparse.Namespace) -> int:
    return _pushed(push(arguments.bundle, arguments.target, arguments.force))


def pull_command(arguments: argparse.Namespace) -> int:
    return _pushed(pull(arguments.url, arguments.folder))


def _pushed(done: Pushed) -> int:
    print(f"{done.place}: version {done.number}" + ("" if done.new else ", there already"))
    return 0


def zoo_command(arguments: argparse.Namespace) -> int:
    if arguments.name is None:
        if arguments.output is not None:
            raise ConvertError("which model? -o needs its name", where="zoo", hint="list all: python -m converter zoo")
        print(zoo.listing())
        return 0
    entry = zoo.mirrored(zoo.find(arguments.name), arguments.mirror, arguments.sha256)
    if arguments.output is None:
        print(zoo.details(entry))
        return 0
    with zoo.downloaded(entry, arguments.cache, arguments.quiet) as folder, \
            Progress(enabled=not arguments.quiet) as progress:
        report = convert(folder, arguments.output, precision=arguments.precision, preprocess=entry.preprocess,
                         name=entry.name, verify=not arguments.no_verify, progress=progress)
    if not arguments.quiet:
        print(report_text(report))
    return 0


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "convert": convert_command, "run": run_command, "inspect": inspect_command, "verify": verify_command,
    "diff": diff_command, "push": push_command, "pull": pull_command, "zoo": zoo_command}
