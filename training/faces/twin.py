"""A plan in Paddle, for inference only, with the weights carried over from PyTorch."""

from __future__ import annotations

import numpy as np
import paddle
import torch
from paddle import nn

from training.faces.networks import Network
from training.faces.plan import Plan, Step

ACTS = {"relu": nn.ReLU, "hard_swish": nn.Hardswish, "sigmoid": nn.Sigmoid}


def layer(step: Step) -> nn.Sequential:
    if step.op == "conv":
        i, o, kernel, stride, groups = step.args
        bias = False if step.norm else None
        layers: list[nn.Layer] = [nn.Conv2D(i, o, kernel, stride, kernel // 2, groups=groups, bias_attr=bias)]
        layers += [nn.BatchNorm2D(o)] if step.norm else []
    else:
        layers = [nn.Linear(*step.args)]
    return nn.Sequential(*layers, *([ACTS[step.act]()] if step.act else []))


class PaddleNetwork(nn.Layer):
    """forward gives the outputs in the plan's order."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.plan = plan
        self.layers = nn.LayerDict({s.name: layer(s) for s in plan.steps if s.op in ("conv", "linear")})
        self.up, self.pool = nn.Upsample(scale_factor=2, mode="nearest"), nn.AdaptiveAvgPool2D(1)

    def forward(self, image: paddle.Tensor) -> tuple[paddle.Tensor, ...]:
        held = {"image": image}
        for step in self.plan.steps:
            x = held[step.inputs[0]]
            if step.op in ("conv", "linear"):
                held[step.name] = self.layers[step.name](x)
            elif step.op == "add":
                held[step.name] = x + held[step.inputs[1]]
            elif step.op == "up":
                held[step.name] = self.up(x)
            elif step.op == "mean":
                held[step.name] = paddle.flatten(self.pool(x), 1)
            else:
                held[step.name] = paddle.flatten(x, 1)
        return tuple(held[name] for name in self.plan.outputs.values())


def carried_over(network: Network) -> PaddleNetwork:
    """The twin of a PyTorch network; every one of its parameters must be found there."""
    theirs = network.state_dict()
    twin = PaddleNetwork(network.plan)
    flipped = {f"layers.{s.name}.0.weight" for s in network.plan.steps if s.op == "linear"}  # Paddle keeps [in, out]
    state = {}
    for name, value in twin.state_dict().items():
        source = name.replace("._mean", ".running_mean").replace("._variance", ".running_var")
        array = theirs[source].detach().cpu().numpy()
        array = array.T if source in flipped else array
        if list(array.shape) != list(value.shape):
            raise ValueError(f"{name}: PyTorch has shape {list(array.shape)}, Paddle {list(value.shape)}")
        state[name] = np.ascontiguousarray(array)
    twin.set_state_dict(state)
    twin.eval()
    return twin


def worst_difference(network: Network, twin: PaddleNetwork, images: np.ndarray) -> float:
    """Largest difference of the outputs on images [n,3,h,w], as a share of the larger of 1 and an output's range."""
    with torch.no_grad():
        ours = network.eval()(torch.from_numpy(images))
    with paddle.no_grad():
        theirs = twin(paddle.to_tensor(images))
    pairs = [(a.numpy(), b.numpy()) for a, b in zip(ours, theirs, strict=True)]
    return max(float(np.abs(a - b).max() / max(1.0, np.ptp(a))) for a, b in pairs)
