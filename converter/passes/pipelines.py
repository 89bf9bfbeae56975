"""Which passes run for a target, in which order, and why in that order."""

from __future__ import annotations

from collections.abc import Callable

from converter.graph import Graph
from converter.passes import (
    fold,
    fold_affine,
    fold_scale_forward,
    fuse_activation,
    fuse_residual,
    identities,
    matmul_to_fc,
    paddlejs2,
    paddlejs2_binary,
    paddlejs2_layers,
    paddlejs2_norm,
    paddlejs2_shapes,
    prune,
    recognise,
    scalars,
)

Pass = Callable[[Graph], Graph]

PIPELINES: dict[str, list[tuple[Pass, str]]] = {
    "web": [
        (prune.run, "what no output needs must cost nothing, and must not be refused further on"),
        (fold.run, "fusion needs weights as constants and shapes as attributes"),
        (identities.run, "what changes nothing hides neighbours from each other"),
        (recognise.run, "an activation must be one node before it can be an epilogue"),
        (matmul_to_fc.run, "bias, batch norm and activation can join fc, not matmul_v2"),
        (fold_affine.run, "batch norms, factors and biases become weights; then the activation stands right behind"),
        (fuse_residual.run, "after the bias and before the activation, as in conv2d's own order"),
        (fuse_activation.run, "an epilogue closes a node to every fusion above"),
        (scalars.run, "numbers that no neighbour took; a sum with an activation behind it is better off fused"),
        (fold_scale_forward.run, "the scales that are left, into the layer behind where no padding is in the way"),
        (fold.run, "constants that the fusions have made foldable"),
        (identities.run, "reshapes and transposes that folding and rewriting have made idle"),
        (prune.run, "drop replaced weights"),
    ],
    "paddlejs2": [
        (prune.run, "what no output needs must not be refused further on"),
        (fold.run, "fusion needs weights as constants, and every size is fixed here"),
        (identities.run, "what changes nothing hides neighbours from each other"),
        (recognise.run, "an activation spelt out is cheaper as one, where the old runtime has it"),
        (matmul_to_fc.run, "bias, batch norm and activation can join fc, not matmul_v2"),
        (fold_affine.run, "the old runtime's batch norm costs a pass of its own"),
        (fuse_activation.run, "its convolutions know some activations"),
        (scalars.run, "it has no constants without dimensions"),
        (fold_scale_forward.run, "the scales that are left, into the layer behind"),
        (fold.run, "constants that the fusions have made foldable"),
        (identities.run, "reshapes and transposes that have become idle"),
        (paddlejs2.run, "say the rest in operators that the old runtime computes correctly"),
        (fold.run, "what the lowering did to weights, and the old runtime would never compute"),
        (paddlejs2_shapes.merge_reshapes, "tensors of more than four dimensions between two reshapes go"),
        (paddlejs2.frame, "one picture in, results that an operator writes out"),
        (paddlejs2.check, "what no texture holds is refused"),
    ],
}

assert paddlejs2_binary and paddlejs2_layers and paddlejs2_norm  # they register what paddlejs2.run uses
