"""fluid's layers over one sequence: LSTM with and without peepholes, GRU, decoding of labels."""

import numpy as np

from .case import Case, rand, vector

ALL = {"Weight", "Bias"}


def lstm(name: str, steps: int, size: int, states: bool = False, **attrs) -> Case:
    biases = 7 if attrs.get("use_peepholes", True) else 4
    inputs = {"Input": [rand(steps, 4 * size)], "Weight": [rand(size, 4 * size, low=-1, high=1)],
              "Bias": [rand(1, biases * size, low=-1, high=1)]}
    if states:
        inputs |= {"H0": [rand(1, size, seed="h")], "C0": [rand(1, size, seed="c")]}
    return Case(f"lstm_{name}", "lstm", inputs, attrs, const=["Weight", "Bias"], outputs=2)


def gru(name: str, steps: int, size: int, bias: bool = True, state: bool = False, **attrs) -> Case:
    inputs = {"Input": [rand(steps, 3 * size)], "Weight": [rand(size, 3 * size, low=-1, high=1)]}
    inputs |= {"Bias": [rand(1, 3 * size, low=-1, high=1)]} if bias else {}
    inputs |= {"H0": [rand(1, size, seed="h")]} if state else {}
    return Case(f"gru_{name}", "gru", inputs, attrs, const=[slot for slot in inputs if slot in ALL])


def labels(name: str, *values: int, dtype: str = "int32", **attrs) -> Case:
    return Case(f"ctc_align_{name}", "ctc_align", {"Input": [vector(*values, dtype=dtype).reshape(-1, 1)]}, attrs)


def path(name: str, steps: int, kinds: int) -> Case:
    return Case(f"crf_decoding_{name}", "crf_decoding",
                {"Emission": [rand(steps, kinds)], "Transition": [rand(kinds + 2, kinds)]}, const=["Transition"])


CASES = [
    lstm("peepholes", 7, 5), lstm("plain", 6, 8, use_peepholes=False), lstm("one_unit", 4, 1), lstm("one_step", 1, 3),
    lstm("backwards", 5, 6, is_reverse=True), lstm("states", 3, 7, states=True),
    lstm("states_backwards", 4, 2, states=True, is_reverse=True, use_peepholes=False),
    lstm("activations", 5, 3, gate_activation="relu", cell_activation="identity", candidate_activation="sigmoid"),
    lstm("wide", 9, 33),
    gru("plain", 7, 5), gru("origin", 6, 4, origin_mode=True), gru("backwards", 5, 3, is_reverse=True),
    gru("no_bias", 4, 6, bias=False), gru("state", 3, 7, state=True), gru("one_unit", 4, 1), gru("one_step", 1, 2),
    gru("activations", 5, 5, activation="relu", gate_activation="identity"),
    gru("origin_state_backwards", 4, 9, state=True, is_reverse=True, origin_mode=True), gru("wide", 6, 31),
    labels("repeats", 0, 1, 1, 0, 1, 2, 2, 0), labels("kept_repeats", 1, 1, 0, 3, merge_repeated=False),
    labels("nothing", 0, 0, 0), labels("blank_last", 4, 4, 2, 2, 4, 1, blank=4, dtype="int64"), labels("one", 3),
    path("short", 3, 4), path("long", 9, 5), path("one_step", 1, 6), path("one_label", 4, 1),
    Case("crf_decoding_ties", "crf_decoding", {"Emission": [np.zeros((4, 3), np.float32)],
                                               "Transition": [np.zeros((5, 3), np.float32)]}),
]
