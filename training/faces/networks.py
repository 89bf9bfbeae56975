"""The three networks. Sizes are what one WASM thread can do for a class of twenty, several times a second."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from training.faces.plan import Plan, Step

STRIDES = (4, 8, 16, 32)
CELL = 15  # channels of a detector cell: score, centre x y, size w h, five points x y
HEAD_SIDE = 112  # input pixels a side of the face head
UPPER_SIDE = 96
UPPER_CELLS = UPPER_SIDE // 4
POINTS = 73  # the five of the detector, then the 68 of iBUG
BRANCH = ("seen_wide", "seen_placed", "told")  # of the head
JOINTS = 5  # nose, left and right shoulder, left and right ear


def detector() -> Plan:
    """image [n,3,h,w], sides multiples of 32 -> stride4 .. stride32 [n,15,h/s,w/s], raw."""
    p = Plan()
    x = p.conv("stem", "image", 12, 3, 2)
    x = p.separable("a0", x, 24, 3, 2)
    a = p.separable("a1", x, 24)
    x = p.separable("b0", a, 48, 5, 2)
    x = p.separable("b1", x, 48, 5)
    b = p.separable("b2", x, 48, 5)
    x = p.separable("c0", b, 80, 5, 2)
    x = p.separable("c1", x, 80, 5)
    x = p.separable("c2", x, 80, 5)
    c = p.separable("c3", x, 80, 5)
    x = p.separable("d0", c, 112, 5, 2)
    x = p.separable("d1", x, 112, 5)
    d = p.separable("d2", x, 112, 5)
    top = p.conv("ld", d, 40)
    levels = {32: top}
    top = p.separable("fc", p.add("sc", p.conv("lc", c, 40, act=""), p.up("ud", top)), 40)
    levels[16] = top
    top = p.separable("fb", p.add("sb", p.conv("lb", b, 40, act=""), p.up("uc", top)), 40)
    levels[8] = top
    top = p.add("sa", a, p.up("ub", p.conv("la", top, 24, act="")))
    levels[4] = p.separable("fa", top, 24)
    for stride in STRIDES:
        x = levels[stride]
        if stride > 4:
            x = p.separable(f"t{stride}", x, 40)
        x = p.depth(f"o{stride}", x, act="relu")
        p.outputs[f"stride{stride}"] = p.conv(f"q{stride}", x, CELL, act="", norm=False)
    return p


def head() -> Plan:
    """image [n,3,112,112] -> pose [n,6] two columns of the rotation, points [n,146] around 0, eyes [n,2] logits
    (subject's right, left), trust [n,2]: logit of "a face squarely in the crop", log of the pose's error in degrees.
    The layers of BRANCH have a say in trust only: they can be taught alone (second_look.py)."""
    p, act = Plan(), "hard_swish"
    x = p.conv("stem", "image", 16, 3, 2, act)
    x = p.separable("a0", x, 24, 3, 2)
    x = p.separable("a1", x, 24)
    x = p.inverted("b0", x, 72, 32, 5, 2, act)
    x = p.inverted("b1", x, 96, 32, 5, 1, act)
    x = p.inverted("b2", x, 96, 32, 5, 1, act)
    x = p.inverted("c0", x, 128, 64, 5, 2, act)
    x = p.inverted("c1", x, 192, 64, 5, 1, act)
    x = p.inverted("c2", x, 192, 64, 5, 1, act)
    wide = p.mean("pooled", p.conv("wide", x, 192, act=act))
    placed = p.flat("placed", p.conv("narrow", x, 16, act=act), 49)
    shape = p.linear("shape", placed, 96, act)
    about = p.linear("about", wide, 64, act)
    both = p.add("both", p.linear("shape2", shape, 64), p.linear("about2", about, 64))
    p.outputs["pose"] = p.linear("pose", both, 6)
    p.outputs["points"] = p.linear("points", shape, 2 * POINTS)
    p.outputs["eyes"] = p.linear("eyes", p.linear("eyes1", placed, 32, act), 2)
    seen = p.add("seen", p.linear("seen_wide", wide, 48, act), p.linear("seen_placed", placed, 48, act))
    p.outputs["trust"] = p.add("judged", p.linear("trust", about, 2), p.linear("told", seen, 2))
    return p


def upper() -> Plan:
    """image [n,3,96,96] -> joints [n,5,24,24] logits: nose, left and right shoulder, left and right ear."""
    p, act = Plan(), "hard_swish"
    x = p.conv("stem", "image", 16, 3, 2, act)
    x = p.separable("a0", x, 24, 3, 2)
    a = p.separable("a1", x, 24)
    x = p.inverted("b0", a, 72, 40, 5, 2, act)
    b = p.inverted("b1", x, 120, 40, 5, 1, act)
    x = p.inverted("c0", b, 160, 64, 5, 2, act)
    x = p.inverted("c1", x, 192, 64, 5, 1, act)
    x = p.inverted("c2", x, 192, 64, 5, 1, act)
    x = p.conv("lc", x, 32)
    x = p.separable("fb", p.add("sb", p.conv("lb", b, 32, act=""), p.up("uc", x)), 32, 5)
    x = p.separable("fa", p.add("sa", p.conv("la", a, 32, act=""), p.up("ub", x)), 32, 5)
    x = p.separable("fo", x, 32, 5)
    p.outputs["joints"] = p.conv("joints", x, JOINTS, act="", norm=False)
    return p


ACTS = {"relu": nn.ReLU, "hard_swish": nn.Hardswish, "sigmoid": nn.Sigmoid}


def layer(step: Step) -> nn.Module:
    """The PyTorch layers of a conv or linear step."""
    if step.op == "conv":
        i, o, kernel, stride, groups = step.args
        layers: list[nn.Module] = [nn.Conv2d(i, o, kernel, stride, kernel // 2, groups=groups, bias=not step.norm)]
        layers += [nn.BatchNorm2d(o)] if step.norm else []
    else:
        layers = [nn.Linear(*step.args)]
    return nn.Sequential(*layers, *([ACTS[step.act]()] if step.act else []))


class Network(nn.Module):
    """A plan in PyTorch; forward gives the outputs in the plan's order."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        self.layers = nn.ModuleDict({s.name: layer(s) for s in plan.steps if s.op in ("conv", "linear")})

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        held = {"image": image}
        for step in self.plan.steps:
            x = held[step.inputs[0]]
            if step.op in ("conv", "linear"):
                held[step.name] = self.layers[step.name](x)
            elif step.op == "add":
                held[step.name] = x + held[step.inputs[1]]
            elif step.op == "up":
                held[step.name] = F.interpolate(x, scale_factor=2, mode="nearest")
            elif step.op == "mean":
                held[step.name] = x.mean((2, 3))
            else:
                held[step.name] = x.flatten(1)
        return tuple(held[name] for name in self.plan.outputs.values())


def make(name: str) -> Network:
    """name: detector, head or upper; biases set so that training starts calmly."""
    network = Network({"detector": detector, "head": head, "upper": upper}[name]())
    if name == "detector":
        for stride in STRIDES:
            with torch.no_grad():
                last = network.layers[f"q{stride}"][0]
                last.bias.zero_()
                last.bias[0] = -5.0
                last.bias[3:5] = 1.2
                last.weight[1:] *= 0.5
    if name == "upper":
        nn.init.constant_(network.layers["joints"][0].bias, -4.0)
    if name == "head":
        with torch.no_grad():
            network.layers["pose"][0].bias.copy_(torch.tensor([1.0, 0, 0, 0, 1.0, 0]))
            network.layers["trust"][0].bias[1] = 1.5
    return network


def load(name: str, checkpoint: Path) -> Network:
    """A network with the weights that train.py or second_look.py wrote."""
    network = make(name)
    network.load_state_dict(torch.load(checkpoint, map_location="cpu")["weights"])
    return network.eval()


def checkpoint_of(folder: Path, name: str, last: bool) -> Path:
    """NAME_told.pt of second_look.py, else NAME_best.pt, else NAME.pt."""
    kinds = ("",) if last else ("_told", "_best", "")
    found = [folder / f"{name}{kind}.pt" for kind in kinds]
    return next((f for f in found if f.exists()), found[-1])
