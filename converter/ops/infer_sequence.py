"""Output shapes of the layers over one sequence."""

from __future__ import annotations

from converter.ops.infer_detect import DTYPES
from converter.ops.infer_more import agree
from converter.ops.infer_rules import rule

DTYPES |= {"lstm": ("float32", "float32"), "gru": ("float32",), "crf_decoding": ("int64",)}


@rule("lstm")
def lstm(sizes, node, shapes):
    (steps, width), (size, columns) = shapes["Input"][0], shapes["Weight"][0]
    agree((width, columns), (4 * size, 4 * size), "Input or Weight")
    agree(shapes["Bias"][0], (1, (7 if node.attrs["use_peepholes"] else 4) * size), "Bias")
    return [(steps, size), (steps, size)]


@rule("gru")
def gru(sizes, node, shapes):
    (steps, width), (size, columns) = shapes["Input"][0], shapes["Weight"][0]
    agree((width, columns), (3 * size, 3 * size), "Input or Weight")
    return [(steps, size)]


@rule("ctc_align")
def ctc_align(sizes, node, shapes):
    return [(sizes.symbol(), 1)]


@rule("crf_decoding")
def crf_decoding(sizes, node, shapes):
    steps, labels = shapes["Emission"][0]
    agree(shapes["Transition"][0], (labels + 2 if isinstance(labels, int) else labels, labels), "Transition")
    return [(steps, 1)]
