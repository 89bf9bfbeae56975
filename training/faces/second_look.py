"""Teach the head, whose other answers stay as they are, to tell faces from what a detector mistakes for them:

    python -m training.faces.second_look --faces FOLDER --backdrops FOLDER --mistakes FILE --head DIR/head_best.pt
        -o DIR/head_told.pt [--batches 60]

Only the layers of networks.BRANCH learn. What they see of a crop is computed once, then they are fitted to it: minutes
on one core. Every eighth picture without a face, and the validation split, are kept for judging.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from training.faces.crops import FaceCrops
from training.faces.negatives import faceless, mistake_crops, read
from training.faces.networks import BRANCH, Network, make
from training.faces.sources import crops, scenes, with_small_faces
from training.faces.tasks import HELD, in_parts, signed

BATCH = 96
LOWEST = 0.25  # of the detector's scores
KEPT = 14_000  # of the detector's mistakes, drawn at random
ROUNDS, RATE, DECAY = 800, 3e-3, 3e-2
DROP = 0.2  # of what the branch sees, while it learns


@dataclass
class Seen:
    """What the branch gets of crops: wide [n,192], placed [n,784], trust [n] as the other layers have it; real [n]."""

    wide: torch.Tensor
    placed: torch.Tensor
    trust: torch.Tensor
    real: torch.Tensor

    def rows(self, which: torch.Tensor) -> Seen:
        return Seen(*(x[which] for x in vars(self).values()))


def joined(parts: list[Seen]) -> Seen:
    return Seen(*(torch.cat(columns) for columns in zip(*(vars(p).values() for p in parts), strict=True)))


def resumed(network: Network, weights: dict[str, torch.Tensor]) -> Network:
    """Weights from before the branch was there, or with it; a new branch says nothing yet."""
    missing = network.load_state_dict(weights, strict=False)
    if missing.unexpected_keys or any(key.split(".")[1] not in BRANCH for key in missing.missing_keys):
        raise ValueError(f"these are not a head's weights: {missing}")
    if missing.missing_keys:
        last = network.layers["told"][0]
        torch.nn.init.zeros_(last.weight)
        torch.nn.init.zeros_(last.bias)
    return network.eval()


@torch.no_grad()
def look(network: Network, image: torch.Tensor, real: torch.Tensor) -> Seen:
    """image [n,3,112,112] -1..1"""
    held: dict[str, torch.Tensor] = {}
    hooks = [
        network.layers[name].register_forward_pre_hook(lambda _, given, name=name: held.update({name: given[0]}))
        for name in BRANCH
    ]
    trust = network(image)[3][:, 0] - network.layers["told"](held["told"])[:, 0]
    for hook in hooks:
        hook.remove()
    return Seen(held["seen_wide"], held["seen_placed"], trust, real)


def odds(network: Network, seen: Seen) -> torch.Tensor:
    """The logarithm of the odds of a face, [n]."""
    layers = network.layers
    return seen.trust + layers["told"](layers["seen_wide"](seen.wide) + layers["seen_placed"](seen.placed))[:, 0]


def fit(network: Network, seen: Seen, judged: Seen) -> None:
    """Adam over the branch alone; prints how the judged ones are told apart."""
    parameters = [p for name in BRANCH for p in network.layers[name].parameters()]
    optimiser = torch.optim.AdamW(parameters, RATE, weight_decay=DECAY)
    for step in range(ROUNDS):
        for group in optimiser.param_groups:
            group["lr"] = RATE * (1 - step / ROUNDS)
        few = seen.rows(torch.randint(len(seen.real), (1024,)))
        noisy = Seen(F.dropout(few.wide, DROP), F.dropout(few.placed, DROP), few.trust, few.real)
        loss = F.binary_cross_entropy_with_logits(odds(network, noisy), few.real)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 200 == 199:
            print(f"{step + 1}: loss {loss.item():.4f}, told apart {told(network, judged):.4f}", flush=True)


@torch.no_grad()
def told(network: Network, judged: Seen) -> float:
    """Share of the faces that look more like one than 99 of 100 of the others do."""
    value, real = odds(network, judged), judged.real > 0
    return float((value[real] > value[~real].quantile(0.99)).float().mean())


def plain(network: Network, pictures: np.ndarray, real: bool) -> Seen:
    return joined([look(network, x, torch.full((len(x),), float(real))) for x in in_parts(pictures, "cpu")])


def material(
    network: Network, folder: Path, backdrops: list[Path], mined: Path, batches: int, small: bool
) -> tuple[Seen, Seen]:
    """To learn from, to judge by."""
    train = scenes(folder, "train", small)
    other = np.concatenate([p for p, _ in faceless(train, backdrops, small)])
    found = read(mined, len(other))
    found = found.where(found.scores > LOWEST)
    found = found.where(torch.randperm(len(found.rows))[:KEPT])
    mistaken, kept = mistake_crops(found, other), found.rows % HELD == 0
    del other
    learned, judged = mistaken[~kept.numpy()], mistaken[kept.numpy()]
    val = with_small_faces(crops(folder, "val"), scenes(folder, "val", small)).pictures
    judge = joined([plain(network, judged, False), plain(network, val, True)])
    known = with_small_faces(crops(folder, "train"), train)
    parts = [plain(network, learned[::4], False), plain(network, known.pictures[::2], True)]
    scores = found.scores[~kept]
    endless = FaceCrops(known, None, (torch.from_numpy(learned), scores), "cpu", 0.5)
    for _ in range(batches):
        batch = endless.batch(BATCH)
        parts.append(look(network, signed(batch.image), batch.real.float()))
    return joined(parts), judge


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", required=True, type=Path)
    parser.add_argument("--backdrops", action="append", default=[], type=Path)
    parser.add_argument("--mistakes", required=True, type=Path)
    parser.add_argument("--head", required=True, type=Path)
    parser.add_argument("--batches", type=int, default=60)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--small", action="store_true", help="a few pictures, as train.py --small has them")
    parser.add_argument("-o", "--output", required=True, type=Path)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    held = torch.load(args.head, map_location="cpu")
    network = resumed(make("head"), held["weights"])
    seen, judged = material(network, args.faces, args.backdrops, args.mistakes, args.batches, args.small)
    print(f"{len(seen.real)} crops; told apart before: {told(network, judged):.4f}", flush=True)
    fit(network, seen, judged)
    torch.save(held | {"weights": network.state_dict()}, args.output)


if __name__ == "__main__":
    main()
