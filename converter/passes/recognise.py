"""Name what exporters spelt out: activations in several operators, chains of transposes and reshapes."""

from __future__ import annotations

from converter.graph import Graph
from converter.passes.rewrite import Captured, Rule, apply


def join_transposes(captured: Captured) -> Captured | None:
    return {"joined": [captured["first"][axis] for axis in captured["second"]]}


def last_reshape(captured: Captured) -> Captured | None:
    """Only the second shape counts, unless it copies dimensions of the first."""
    return None if 0 in captured["second"] else captured


RULES = [
    Rule("silu",
         "s = sigmoid(x); y = elementwise_mul(x, s); return y",
         "y = silu(x); return y"),
    Rule("swish with beta 1",
         "y = swish(x, beta=1.0); return y",
         "y = silu(x); return y"),
    Rule("mish",
         "s = softplus(x); t = tanh(s); y = elementwise_mul(x, t); return y",
         "y = mish(x); return y"),
    Rule("hard_swish from hard_sigmoid",
         "s = hard_sigmoid(x, slope=0.16666667, offset=0.5); y = elementwise_mul(x, s); return y",
         "y = hard_swish(x); return y"),
    Rule("hard_sigmoid from relu6",
         "a = scale(x, bias=3.0); b = relu6(a); y = scale(b, scale=0.16666667); return y",
         "y = hard_sigmoid(x, slope=0.16666667, offset=0.5); return y"),
    Rule("hard_swish from relu6",
         "a = scale(x, bias=3.0); b = relu6(a); c = elementwise_mul(x, b); y = scale(c, scale=0.16666667); return y",
         "y = hard_swish(x); return y"),
    Rule("relu from clip",
         "y = clip(x, min=0.0, max=inf); return y",
         "y = relu(x); return y"),
    Rule("gelu from erf",
         "half: float32[1] = const [0.5]; one: float32[1] = const [1.0]; root: float32[1] = const [1.4142135];"
         "a = elementwise_div(x, root); b = erf(a); c = elementwise_add(b, one); d = elementwise_mul(x, c);"
         "y = elementwise_mul(d, half); return y",
         "y = gelu(x); return y"),
    Rule("two transposes",
         "t = transpose2(x, axis=first); y = transpose2(t, axis=second); return y",
         "y = transpose2(x, axis=joined); return y", join_transposes),
    Rule("two reshapes",
         "t = reshape2(x, shape=first); y = reshape2(t, shape=second); return y",
         "y = reshape2(x, shape=second); return y", last_reshape),
]


def run(graph: Graph) -> Graph:
    return apply(graph, RULES)
