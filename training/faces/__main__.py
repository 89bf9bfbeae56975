"""All three networks from the pack's folder to shipped bundles:

    python -m training.faces --faces FOLDER --work DIR [--minutes 15] [-o static/models]
    python -m training.faces --faces FOLDER --work DIR --small [--minutes 6]

draws pictures without a face (the scenes of training/document_corners), trains the three side by side, collects what
the detector takes for faces in those pictures, teaches the head to see through it, fits how both judge together,
exports what did best on the validation split, and evaluates the bundles through the page's detector. DIR keeps
drawings, checkpoints and logs; drawings that are there are taken as they are. --small walks the same way with few
pictures, for a CPU: the networks are of no use and go to DIR/bundles.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

DRAWN, DRAWN_SMALL = 440, 24  # backdrops: about one a second on one core
MINUTES, MINUTES_SMALL = 15, 6
SHARE = {"detector": 1.0, "head": 0.8, "upper": 0.4}  # of the minutes


def module(name: str, *args: object) -> list[str]:
    return [sys.executable, "-m", f"training.{name}", *map(str, args)]


def train(faces: Path, work: Path, drawn: Path, minutes: float, options: list[str]) -> None:
    """RuntimeError when one of the three fails; the others are waited for."""
    running = {
        name: subprocess.Popen(
            module(
                "faces.train", name, "--faces", faces, "--backdrops", drawn, "--out", work, "--minutes", minutes * share
            )
            + options
        )
        for name, share in SHARE.items()
    }
    codes = {name: process.wait() for name, process in running.items()}
    if any(codes.values()):
        raise RuntimeError(f"training failed; exit codes: {codes}")


def look_again(faces: Path, work: Path, drawn: Path, small: list[str]) -> None:
    """The detector's mistakes, a head that sees through them, and how both judge together."""
    mistakes, pictures = work / "mistakes.npz", ["--faces", faces, "--backdrops", drawn, *small]
    detector, head, told = (work / f"{name}.pt" for name in ("detector_best", "head_best", "head_told"))
    told.unlink(missing_ok=True)
    for step in (
        module("faces.negatives", *pictures, "--detector", detector, "-o", mistakes),
        module("faces.second_look", *pictures, "--mistakes", mistakes, "--head", head, "-o", told),
        module("faces.judge", *pictures, "--mistakes", mistakes, "--networks", work),
    ):
        subprocess.run(step, check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--device")
    parser.add_argument("--small", action="store_true", help="few pictures: to try the way out")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    drawn, small = args.work / "drawn", ["--small"] if args.small else []
    output = args.output or (args.work / "bundles" if args.small else Path("static/models"))
    if not drawn.is_dir():
        count = DRAWN_SMALL if args.small else DRAWN
        subprocess.run(
            module("document_corners.validation", "--out", drawn, "--count", count, "--seed", 77), check=True
        )
    minutes = args.minutes or (MINUTES_SMALL if args.small else MINUTES)
    train(args.faces, args.work, drawn, minutes, small + (["--device", args.device] if args.device else []))
    look_again(args.faces, args.work, drawn, small)
    subprocess.run(module("faces.export", args.work, "-o", output), check=True)
    evaluate = module(
        "faces.evaluate", "--faces", args.faces, "--bundles", output, *(["--splits", "val"] if small else [])
    )
    return subprocess.run([*evaluate, "--table", args.work / "table.md"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
