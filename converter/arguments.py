"""The command line's grammar."""

from __future__ import annotations

import argparse
import re
import shlex
from pathlib import Path
from typing import Any

from converter import __version__
from converter.paddle_lite import TARGETS as LITE_TARGETS
from converter.read.metadata import number
from converter.run import ENGINES
from converter.targets import BESIDE, ROADS
from converter.write.web import PRECISIONS

COMMANDS = ("convert", "run", "inspect", "verify", "diff", "push", "pull", "zoo")

_ABOUT = """\
Convert Paddle models into bundles that run inside a web page.

  python -m converter MODEL -o BUNDLE              convert (and verify) a model
  python -m converter run BUNDLE --input in.npz --output out.npz
                                                   run a bundle on named arrays
  python -m converter inspect MODEL_OR_BUNDLE      show graph, operators, sizes
  python -m converter verify BUNDLE [--model MODEL] [--input in.npz]
                                                   compare a bundle with its model
  python -m converter diff BUNDLE BUNDLE           what two bundles do not have in common
  python -m converter push BUNDLE DIR|URL          put a version where a server or devices pick it up
  python -m converter pull URL DIR                 take a model's latest version from there
  python -m converter zoo [NAME] [-o BUNDLE]       Paddle's official models: list, show, download and convert

MODEL is a folder or a file, and its kind is found out: Paddle 3 (inference.json + .pdiparams),
Paddle 2 (.pdmodel + .pdiparams), fluid (__model__), an old Paddle.js package, or a bundle.
A model folder that is itself called as a command is, such as run, is named ./run.
"""
_END = "exit codes: 0 done, 1 cannot (diff: they differ), 2 the command line is wrong.  More: COMMAND --help"


def parse(argv: list[str]) -> argparse.Namespace:
    """Arguments → namespace with .command; SystemExit(2) for a mistake, SystemExit(0) for --help."""
    if not argv or argv[0] in ("-h", "--help"):
        print(_ABOUT + "\nconvert options:" + _options_only(_convert_parser()) + "\n" + _END)
        raise SystemExit(0 if argv else 2)
    if argv[0] == "--version":
        print(f"paddle-inpage {__version__}")
        raise SystemExit(0)
    command = argv[0] if argv[0] in COMMANDS else "convert"
    parsers = {"convert": _convert_parser, "run": _run_parser, "inspect": _inspect_parser, "verify": _verify_parser,
               "diff": _diff_parser, "push": _push_parser, "pull": _pull_parser, "zoo": _zoo_parser}
    parser = parsers[command]()
    arguments = parser.parse_args(argv[1:] if argv[0] in COMMANDS else argv)
    arguments.command = command
    arguments.said = _said(argv[1:] if argv[0] in COMMANDS else argv, arguments) if command == "convert" else ""
    return arguments


def _said(argv: list[str], arguments: argparse.Namespace) -> str:
    """The command for the bundle's provenance: files by their names alone, and without where the bundle went."""
    files = {str(value): value.name for value in vars(arguments).values() if isinstance(value, Path)}
    words, skip = [], False
    for word in argv:
        option, _, value = word.partition("=")
        if skip or word == "--quiet" or (option == "--output" and value) or (word[:2] == "-o" and len(word) > 2):
            skip = False
            continue
        if word in ("-o", "--output"):
            skip = True
        elif word.startswith("--") and value:
            words.append(f"{option}={_bare(value, files)}")
        else:
            words.append(_bare(word, files))
    return shlex.join(["python", "-m", "converter", *words])


def _bare(word: str, files: dict[str, str]) -> str:
    path = Path(word)
    return path.name if path.is_absolute() else files.get(str(path), word)


def _options_only(parser: argparse.ArgumentParser) -> str:
    """A parser's help without its usage line and title."""
    return parser.format_help().partition("options:")[2]


def _new(usage: str, about: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(prog="python -m converter", usage=f"python -m converter {usage}", description=about,
                                   allow_abbrev=False)


def _convert_parser() -> argparse.ArgumentParser:
    parser = _new("MODEL -o BUNDLE [options]", "Convert a model into a bundle, and verify the bundle.")
    add = parser.add_argument
    add("model", metavar="MODEL", type=Path, help="folder or file")
    add("-o", "--output", metavar="BUNDLE", type=Path, required=True, help="folder to write; replaces a bundle")
    add("--params", metavar="FILE", type=Path, help="combined weights, where they are not beside the program")
    add("--name", help="the bundle's name (default: the model's)")
    add("--model-version", type=_version, default="0.0.0", metavar="X.Y.Z",
        help="semantic version of this bundle (default 0.0.0: not versioned)")
    add("--target", choices=("web", "paddlejs2"), default="web",
        help="paddlejs2: a package for the original Paddle.js 2.x runtime, where it can run the model")
    add("--targets", type=_targets, default=("web",), metavar="LIST",
        help="what the bundle holds besides the page's files, which are always there: web,onnx,lite,tensorrt")
    add("--opset", type=int, choices=(13, 17), help="of model.onnx: 17, or 13 with plain weights for TensorRT 8")
    add("--precision", choices=PRECISIONS, default="float32",
        help="how weights are stored (default float32); int8 computes with whole numbers, too")
    add("--calibrate", metavar="FOLDER", type=Path, help="for int8: 100 to 500 typical pictures or .npz files")
    add("--error-budget", metavar="E", type=_positive,
        help="for int8: error of the answers, as a share of their deviation, above which layers are kept finer "
             "(default 0.1, and the first class the same on 99 %% of the inputs)")
    add("--onnx-road", choices=ROADS, default="auto",
        help="how model.onnx is made: from the graph that pages get, or by paddle2onnx (auto: the first that can)")
    add("--paddle2onnx", metavar="PYTHON", help="a Python that has paddlepaddle and paddle2onnx (default: this one)")
    add("--lite-targets", type=_lite_targets, default=("arm", "x86"), metavar="LIST",
        help=f"which .nb files: {', '.join(LITE_TARGETS)} (default arm,x86)")
    add("--tensorrt-shape", action="append", default=[], metavar="NAME=SMALLEST,USUAL,LARGEST",
        help="sizes of an input that the engine takes, as in image=1x3x224x224,8x3x224x224,32x3x224x224")
    add("--tensorrt-workspace", type=_count, default=1024, metavar="MB", help="memory for the build (default 1024)")
    add("--tensorrt-seconds", type=_count, default=1800, metavar="S", help="how long the build may take (default 1800)")
    add("--tensorrt-quick", action="store_true", help="a shorter build, perhaps a slower engine")
    add("--paddle-lite-opt", metavar="PROGRAM", help="Paddle Lite's optimiser (default: on PATH)")
    add("--paddle-lite-install", action="store_true",
        help="install it where it is missing, into an environment of its own (Python 3.7 by uv or pyenv)")
    add("--labels", metavar="FILE", type=Path, help="class names: one per line, or a JSON list")
    add("--postprocess", metavar="FILE", type=Path, help="JSON object copied into the bundle")
    add("--no-verify", action="store_true", help="do not run the bundle")
    add("--keep-going", action="store_true",
        help="leave out a target that cannot be made, and name it, instead of refusing the whole conversion")
    add("--no-report", action="store_true", help="without report.html and report.json, which also time each target")
    add("--tolerance", type=_positive, metavar="E", help="largest error, as a share of an output's range")
    _input_shape(parser)
    add("--quiet", action="store_true", help="no report, no progress")
    pictures = parser.add_argument_group(
        "how pictures become inputs (over preprocess.json or inference.yml beside the model)",
        "y = (x * scale - mean) / std with x = 0..255")
    add = pictures.add_argument
    add("--preprocess", metavar="FILE|bake", type=Path,
        help="JSON object with these keys; bake: put it all into the graph, whose input is then `picture`, uint8 "
             "[N, height, width, 3]")
    add("--mean", type=_numbers, metavar="A,B,C", help="one number, or one per channel (default 0)")
    add("--std", type=_numbers, metavar="A,B,C", help="one number, or one per channel (default 1)")
    add("--scale", type=_number, metavar="S", help="number or fraction (default 1/255)")
    add("--channels", choices=("rgb", "bgr", "gray"), help="default rgb")
    add("--layout", choices=("nchw", "nhwc"), help="default nchw")
    add("--resize", choices=("stretch", "fit", "short", "limit"), help="default stretch")
    add("--size", type=_size, metavar="HxW", help="224 or 192x320, height first (default: the model's)")
    add("--crop", type=_size, metavar="HxW", help="cut from the centre after resizing")
    add("--interpolation", choices=("linear", "area", "nearest"), help="default linear")
    add("--limit-side", type=int, metavar="N", help="with --resize limit: the longest (max) or shortest (min) side")
    add("--limit-type", choices=("max", "min"), help="default max")
    add("--limit-multiple", type=int, metavar="N", help="sides are rounded to a multiple of this (default 32)")
    add("--pad-value", type=_number, metavar="V", help="with --resize fit: 0..255 beside the picture (default 0)")
    add("--picture-input", metavar="NAME", help="the input that takes the picture (default: the first 4-D one)")
    return parser


def _run_parser() -> argparse.ArgumentParser:
    parser = _new("run BUNDLE --input IN [--output OUT.npz]", "Run a bundle on named arrays or a picture, and print "
                  "the answer.")
    add = parser.add_argument
    add("bundle", metavar="BUNDLE", type=Path)
    add("--input", metavar="IN", type=Path, required=True,
        help=".npz with one array per input, by name; or a picture, which is prepared as the bundle says")
    add("--output", metavar="OUT.npz", type=Path, help="one array per output, by name")
    add("--engine", choices=ENGINES, default="web",
        help="web: the WASM runtime under Node (default); numpy: the reference; onnx, lite, tensorrt: those targets")
    add("--repeat", type=_count, default=1, metavar="N", help="run so often, and print how long it takes")
    add("--paddle-lite-opt", metavar="PROGRAM", help="Paddle Lite's optimiser, beside its Python (default: on PATH)")
    return parser


def _inspect_parser() -> argparse.ArgumentParser:
    parser = _new("inspect MODEL_OR_BUNDLE", "Show inputs, outputs, operators, sizes and the graph.")
    parser.add_argument("model", metavar="MODEL_OR_BUNDLE", type=Path)
    parser.add_argument("--params", metavar="FILE", type=Path, help="combined weights elsewhere")
    parser.add_argument("--brief", action="store_true", help="without the graph")
    return parser


def _verify_parser() -> argparse.ArgumentParser:
    parser = _new("verify BUNDLE [--model MODEL] [--input IN.npz]",
                  "Compare a bundle with Paddle where it is installed, else with numpy; worst error per output.")
    parser.add_argument("bundle", metavar="BUNDLE", type=Path)
    parser.add_argument("--model", metavar="MODEL", type=Path, help="the model it was made from")
    parser.add_argument("--params", metavar="FILE", type=Path, help="combined weights elsewhere")
    parser.add_argument("--input", metavar="IN.npz", type=Path, help="inputs by name (default: random)")
    parser.add_argument("--tolerance", type=_positive, metavar="E", help="largest error, share of an output's range")
    _input_shape(parser)
    return parser


def _diff_parser() -> argparse.ArgumentParser:
    parser = _new("diff BUNDLE BUNDLE", "Say what differs between two bundles; exit code 1 where something does.")
    for name in ("first", "second"):
        parser.add_argument(name, metavar="BUNDLE", type=Path)
    return parser


def _push_parser() -> argparse.ArgumentParser:
    parser = _new("push BUNDLE DIR|URL", "Put a bundle as a new version of its model where a server's hot reload "
                  "(DIR, file://) or devices (http(s):// store that takes PUT) pick it up: whole or not at all.")
    parser.add_argument("bundle", metavar="BUNDLE", type=Path)
    parser.add_argument("target", metavar="DIR|URL", help="the folder of models, or the store's address")
    parser.add_argument("--force", action="store_true", help="also where this semantic version has other content")
    return parser


def _pull_parser() -> argparse.ArgumentParser:
    parser = _new("pull URL DIR", "Take a model's latest version from a store into a server's folder of models.")
    parser.add_argument("url", metavar="URL", help="the model's address there: the store's, then its name")
    parser.add_argument("folder", metavar="DIR", type=Path, help="the folder of models")
    return parser


def _zoo_parser() -> argparse.ArgumentParser:
    parser = _new("zoo [NAME] [-o BUNDLE] [options]",
                  "List Paddle's official inference models; show one; download one and convert it.")
    add = parser.add_argument
    add("name", metavar="NAME", nargs="?", help="a model's name (default: list all)")
    add("-o", "--output", metavar="BUNDLE", type=Path, help="download, convert and verify into this folder")
    add("--cache", metavar="DIR", type=Path, help="where downloads are kept (default ~/.cache/paddle-inpage)")
    add("--mirror", metavar="URL", help="a folder on the web that holds the same files")
    add("--sha256", type=_hex, metavar="HEX", help="the archive's checksum, over the one that is known")
    add("--precision", choices=PRECISIONS[:3], default="float32", help="how weights are stored (default float32)")
    add("--no-verify", action="store_true", help="do not run the bundle")
    add("--quiet", action="store_true", help="no report, no progress")
    return parser


def _lite_targets(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    unknown = [name for name in names if name not in LITE_TARGETS]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(LITE_TARGETS)}")
    return names


_SEMANTIC = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
                       r"(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?")


def _version(text: str) -> str:
    if not _SEMANTIC.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no semantic version such as 1.2.0")
    return text


def _targets(text: str) -> tuple[str, ...]:
    names = dict.fromkeys(["web", *(name.strip() for name in text.split(","))])
    unknown = [name for name in names if name not in BESIDE and name != "web"]
    if unknown:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of web, {', '.join(BESIDE)}")
    return tuple(names)


def _hex(text: str) -> str:
    if len(text) != 64 or set(text.lower()) - set("0123456789abcdef"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a SHA-256 of 64 hexadecimal digits")
    return text


def _input_shape(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--input-shape", type=_named_shape, action="append", default=[], metavar="NAME=N,C,H,W",
                        help="size of the random input used to verify; may be repeated")


def _number(text: str) -> float:
    return _argument(lambda: number(text), text, "a number or a fraction")


def _positive(text: str) -> float:
    value = _number(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0")
    return value


def _count(text: str) -> int:
    value = _argument(lambda: int(text), text, "a whole number")
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0")
    return int(value)


def _numbers(text: str) -> list[float]:
    # Paddle's means are positive, but those of other tools may not be.
    return _argument(lambda: [float(part) if part.strip().startswith("-") else number(part)
                              for part in text.split(",")], text, "numbers with commas between")


def _size(text: str) -> list[int]:
    sides = _argument(lambda: [int(side) for side in text.lower().split("x")], text, "a size such as 224 or 192x320")
    if len(sides) not in (1, 2) or min(sides) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 224 or 192x320")
    return sides * 2 if len(sides) == 1 else sides


def _named_shape(text: str) -> tuple[str, tuple[int, ...]]:
    name, _, sizes = text.rpartition("=")
    shape = _argument(lambda: tuple(int(size) for size in sizes.split(",")), text, "NAME=1,3,224,224")
    if not name or min(shape) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=1,3,224,224")
    return name, shape


def _argument(read: Any, text: str, wanted: str) -> Any:
    try:
        return read()
    except Exception as error:  # noqa: BLE001  (whatever a converter raises, the message is the same)
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}") from error
