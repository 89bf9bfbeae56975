"""Post-training quantisation of an optimised graph: calibration, choice of ranges, int8 operators, a report."""

from converter.quantise.report import Layer, QuantReport, Tensor
from converter.quantise.tune import Options, Quantised, quantise

__all__ = ["Layer", "Options", "QuantReport", "Quantised", "Tensor", "quantise"]
