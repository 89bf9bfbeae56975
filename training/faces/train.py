"""Train one of the three networks from the pack of labelled faces:

    python -m training.faces.train detector|head|upper --faces FOLDER --out DIR [--minutes 15] [--backdrops FOLDER]

Every batch is composed anew on the device. The learning rate follows the clock; the averaged weights are written to
DIR/NAME.pt every two minutes and at the end, figures on the validation split to DIR/NAME.jsonl as it goes, and the
weights that did best there to DIR/NAME_best.pt.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import time
from pathlib import Path

import torch

from training.faces.networks import Network, make
from training.faces.tasks import TASKS

RATES = {"detector": 3e-3, "head": 2.5e-3, "upper": 2e-3}
BATCHES = {"detector": 40, "head": 512, "upper": 256}
SAVE_S = 120
STATE_S = 45
EXACT = 0.85  # of the time; from here on without bfloat16: boxes of eight pixels want every digit


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=sorted(TASKS))
    parser.add_argument("--faces", required=True, type=Path, help="the pack: detect.json, crops.json, upper.json")
    parser.add_argument("--backdrops", action="append", default=[], type=Path, help="a folder of faceless pictures")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--mistakes", type=Path, help="of negatives.py: places without a face to show more often")
    parser.add_argument("--resume", type=Path, help="weights to start from")
    parser.add_argument("--state", type=Path, help="kept up to date; a run that finds it goes on where it stands")
    parser.add_argument("--rate", type=float)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--still", action="store_true", help="keep batch norm's statistics: for small batches")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--small", action="store_true", help="few pictures, small scenes and batches: to try it out")
    return parser.parse_args()


class Average:
    """Exponential moving average of weights and buffers."""

    def __init__(self, network: Network) -> None:
        self.network, self.steps = copy.deepcopy(network).eval(), 0

    @torch.no_grad()
    def update(self, network: Network) -> None:
        self.steps += 1
        decay = min(0.999, self.steps / (self.steps + 20))
        mine, theirs = self.network.state_dict(), network.state_dict()
        floats = [k for k, v in mine.items() if v.is_floating_point()]
        torch._foreach_lerp_([mine[k] for k in floats], [theirs[k] for k in floats], 1 - decay)


def learning_rate(progress: float, top: float) -> float:
    """Warm up over a fortieth of the time given, then half a cosine over the rest."""
    return top * min(1.0, 0.01 + progress / 0.025) * (0.004 + 0.996 * 0.5 * (1 + math.cos(math.pi * min(1, progress))))


def optimiser_for(network: Network, rate: float) -> torch.optim.AdamW:
    heavy = [p for p in network.parameters() if p.dim() > 1]
    light = [p for p in network.parameters() if p.dim() <= 1]
    groups = [{"params": heavy, "weight_decay": 0.01}, {"params": light, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate)


def save(args: argparse.Namespace, average: Average, seconds: float, suffix: str = "") -> None:
    """Write the averaged weights, atomically."""
    part = args.out / f"{args.name}{suffix}.part"
    weights = {k: v.cpu() for k, v in average.network.state_dict().items()}
    torch.save({"weights": weights, "steps": average.steps, "seconds": round(seconds), "seed": args.seed}, part)
    os.replace(part, args.out / f"{args.name}{suffix}.pt")


def remember(args: argparse.Namespace, held: dict, progress: float, step: int, best: float) -> None:
    """Everything that a later run needs to go on, atomically."""
    args.state.parent.mkdir(parents=True, exist_ok=True)
    part = args.state.with_suffix(".part")
    states = {k: v.state_dict() for k, v in held.items()}
    torch.save({"progress": progress, "step": step, "best": best, "states": states}, part)
    os.replace(part, args.state)


def restored(args: argparse.Namespace, held: dict, average: Average) -> tuple[float, int, float]:
    """Progress 0..1, step and best goal of an earlier run that was cut short, whose state is taken over; else a new
    start."""
    if not (args.state and args.state.exists()):
        return 0.0, 0, -math.inf
    known = torch.load(args.state, map_location=args.device)
    if known["progress"] >= 1:
        raise SystemExit(f"{args.state} is of a run that was finished: remove it, or start from its weights (--resume)")
    for name, state in known["states"].items():
        held[name].load_state_dict(state)
    average.steps = known["step"]
    print(f"goes on at {known['progress']:.2f} of the way", flush=True)
    return known["progress"], known["step"], known["best"]


def forward(network: Network, image: torch.Tensor, half: bool) -> tuple[torch.Tensor, ...]:
    with torch.autocast(image.device.type, torch.bfloat16, enabled=half):
        return network(image)


def fit(args: argparse.Namespace, task: object, network: Network) -> None:
    average, optimiser = Average(network), optimiser_for(network, args.rate)
    held = {"network": network, "average": average.network, "optimiser": optimiser}
    first, step, best = restored(args, held, average)
    limit, started, kept, noted, said = args.minutes * 60, time.time(), time.time(), time.time(), -1e9
    cuda = args.device.startswith("cuda")
    with (args.out / f"{args.name}.jsonl").open("a") as log:

        def say(line: dict) -> None:
            text = json.dumps({"name": args.name, "step": step, "s": round(time.time() - started, 1)} | line)
            print(text, flush=True)
            log.write(text + "\n")
            log.flush()

        def judge(passed: float, best: float) -> float:
            """Figures on the validation split; the best weights so far are kept beside the last ones."""
            row = task.report(average.network)
            say({"val": row})
            if row["goal"] > best:
                save(args, average, passed, "_best")
            return max(best, row["goal"])

        while (passed := time.time() - started) < limit:
            progress = first + (1 - first) * passed / limit
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(progress, args.rate)
            network.train()
            for layer in network.modules() if args.still else ():
                if isinstance(layer, torch.nn.BatchNorm2d):
                    layer.eval()
            half = cuda and progress < EXACT
            terms = task.terms(lambda x, half=half: forward(network, x, half), step, args.batch)
            total = sum(terms.values())
            optimiser.zero_grad(set_to_none=True)
            total.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
            average.update(network)
            step += 1
            if args.state and time.time() - noted > STATE_S:
                noted = time.time()
                remember(args, held, progress, step, best)
            if passed - said > (15 if cuda else 5):
                said = passed
                say({k: round(v.item(), 4) for k, v in terms.items()})
                if not math.isfinite(total.item()):
                    raise FloatingPointError(f"the loss of {args.name} is {total.item()} at step {step}")
            if time.time() - kept > SAVE_S:
                kept = time.time()
                save(args, average, passed)
                best = judge(passed, best)
        save(args, average, limit)
        best = judge(limit, best)
        if args.state:
            remember(args, held, 1.0, step, best)


def main() -> None:
    args = arguments()
    args.rate, args.batch = args.rate or RATES[args.name], args.batch or BATCHES[args.name] // (4 if args.small else 1)
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    network = make(args.name)
    if args.resume:
        network.load_state_dict(torch.load(args.resume, map_location="cpu")["weights"])
    network = network.to(args.device, memory_format=torch.channels_last)
    task = TASKS[args.name](args.faces, args.backdrops, args.device, args.small, args.mistakes)
    print(f"{args.name}: {network.plan.parameters()} parameters on {args.device}", flush=True)
    fit(args, task, network)


if __name__ == "__main__":
    main()
