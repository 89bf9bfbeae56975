"""Runs a .nb through Paddle Lite's Python API, under the old Python that its wheels are made for (3.7).

    python paddle_lite_child.py MODEL.nb IN.npz OUT.npz REPEAT [each]

It stands alone. OUT.npz gets the outputs in order, as out_0, out_1 …; the last line of stdout is JSON with the names of
the outputs and the time of each run. With `each` every row of the inputs is a run of its own, and the outputs are
joined.
"""

import json
import sys
import time

import numpy as np


def main(model, feeds, out, repeat, each=""):
    from paddlelite import lite

    config = lite.MobileConfig()
    config.set_model_from_file(model)
    predictor = lite.create_paddle_predictor(config)
    with np.load(feeds) as arrays:
        given = [arrays[name] for name in predictor.get_input_names()]
    runs = [[array[row:row + 1] for array in given] for row in range(len(given[0]))] if each else [given] * int(repeat)
    times, found = [], []
    for run in runs:
        for index, array in enumerate(run):
            predictor.get_input(index).from_numpy(np.ascontiguousarray(array))
        start = time.perf_counter()
        predictor.run()
        times.append(1000 * (time.perf_counter() - start))
        outputs = predictor.get_output_names()
        found = (found if each else []) + [[predictor.get_output(k).numpy().copy() for k in range(len(outputs))]]
    np.savez(out, **{f"out_{index}": np.concatenate([row[index] for row in found]) if each else found[-1][index]
                     for index in range(len(outputs))})
    print(json.dumps({"outputs": outputs, "times_ms": times}))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
