"""Runs a .nb through Paddle Lite's Python API, under the old Python that its wheels are made for (3.7).

    python paddle_lite_child.py MODEL.nb IN.npz OUT.npz REPEAT

It stands alone. OUT.npz gets the outputs in order, as out_0, out_1 …; the last line of stdout is JSON with the names of
the outputs and the time of each run.
"""

import json
import sys
import time

import numpy as np


def main(model, feeds, out, repeat):
    from paddlelite import lite

    config = lite.MobileConfig()
    config.set_model_from_file(model)
    predictor = lite.create_paddle_predictor(config)
    with np.load(feeds) as arrays:
        names = predictor.get_input_names()
        for index, name in enumerate(names):
            predictor.get_input(index).from_numpy(np.ascontiguousarray(arrays[name]))
    times = []
    for _ in range(int(repeat)):
        start = time.perf_counter()
        predictor.run()
        times.append(1000 * (time.perf_counter() - start))
    outputs = predictor.get_output_names()
    np.savez(out, **{f"out_{index}": predictor.get_output(index).numpy() for index in range(len(outputs))})
    print(json.dumps({"outputs": outputs, "times_ms": times}))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
