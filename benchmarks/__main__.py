"""`make bench`: the peers and every script that needs neither NVIDIA's GPU nor a model named, one after another.

    python -m benchmarks [--few] [--only STEP]... [--from STEP]

--few: small counts, whose figures mean little; their tables go into benchmarks/.cache/few.md instead of README.md here.
The first step that fails ends it with that step's exit code.
"""

import argparse
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
FEW = HERE / ".cache" / "few.md"
INTO = "INTO"  # stands for the file with the tables
V2 = ["--bundle", str(HERE / ".cache" / "models" / "mobilenet_v2"), "--shape", "1,3,224,224"]


@dataclass
class Step:
    """A command and what it shows. full, few: further arguments of a whole and of a short run."""

    name: str
    shows: str
    command: list[str]
    full: str = ""
    few: str = ""

    def line(self, few: bool) -> list[str]:
        """The command line."""
        into = FEW if few else HERE / "README.md"
        words = [*self.command, *(self.few if few else self.full).split()]
        return [sys.executable, *(str(into) if word == INTO else word for word in words)]


def script(name: str) -> list[str]:
    return [str(HERE / f"{name}.py")]


def module(name: str) -> list[str]:
    return ["-m", f"benchmarks.{name}"]


STEPS = [
    Step("peers", "every net beside its peers, one thread", [*module("peers"), "--into", INTO, "--threads", "1"],
         few="--net mobilenet_v3_small --repeats 1 --rounds 1"),
    Step("threads", "the same, two threads", [*module("peers"), "--into", INTO, "--kept", "--threads", "2"],
         "--net mobilenet_v2 --net mobilenet_v3_small --repeats 2 --rounds 12",
         "--net mobilenet_v3_small --repeats 1 --rounds 1"),
    Step("int8", "int8 beside float32 and LiteRT.js", module("peers.int8"), few="--repeats 1 --rounds 1"),
    Step("first", "the first result", [*module("peers.first"), "--into", INTO], few="--repeats 1"),
    Step("wasm_kernels", "each kernel beside the machine's peak", script("wasm_kernels"), few="--rounds 2"),
    Step("wasm_threads", "one and two threads in turns", script("wasm_threads"), few="--seconds 1"),
    Step("endurance", "100 000 runs: memory, and the slowest in a hundred", script("endurance"), few="--runs 1000"),
    Step("endurance_two", "MobileNetV2, fewer, two threads", [*script("endurance"), *V2], "--runs 3000", "--runs 1000"),
    Step("endurance_one", "the same, one thread", [*script("endurance"), *V2, "--here"], "--runs 3000", "--runs 1000"),
    Step("gpu", "WebGPU and WebGL beside WASM", script("gpu"), "--runs 3", "--runs 1"),
    Step("first_visit", "what a first visit to the scanner transfers", script("first_visit"), few="--runs 1"),
    Step("serving_load", "the server beside ONNX Runtime, and overloaded", script("serving_load"), "--seconds 6",
         "--seconds 1 --rounds 1 --overload-minutes 0.1"),
    Step("convert_scaling", "time and memory of conversion", script("convert_scaling"), few="--quick"),
]  # fmt: skip


def main() -> int:
    """The exit code of the first step that failed."""
    names = [step.name for step in STEPS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", action="store_true")
    parser.add_argument("--only", action="append", choices=names, metavar="STEP", help=f"one of {', '.join(names)}")
    parser.add_argument("--from", dest="first", choices=names, metavar="STEP", help="leave out the steps before it")
    given = parser.parse_args()
    wanted = [step for step in STEPS[names.index(given.first or names[0]) :] if step.name in (given.only or names)]
    if given.few:
        FEW.parent.mkdir(exist_ok=True)
        shutil.copy(HERE / "README.md", FEW)
    start = time.monotonic()
    for i, step in enumerate(wanted, 1):
        print(f"\n== {i} of {len(wanted)}: {step.name} ({step.shows})", flush=True)
        began = time.monotonic()
        code = subprocess.run(step.line(given.few), cwd=HERE.parent).returncode
        if code:
            said = f"== {step.name} FAILED with exit code {code}; to go on: python -m benchmarks --from {step.name}"
            print(said, file=sys.stderr)
            return code if code > 0 else 1
        print(f"== {step.name}: {time.monotonic() - began:.0f} s", flush=True)
    print(f"\n== {len(wanted)} steps in {(time.monotonic() - start) / 60:.1f} minutes", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
