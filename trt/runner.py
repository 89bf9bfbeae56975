"""Running an engine: one context, one CUDA stream, and as many sets of buffers as runs may overlap.

While the GPU works on one set of buffers, others are filled, sent (each on a stream of its own, which the context's
waits for) and read. Nothing is allocated for a request: buffers have the largest size from the start, pinned on the
host.
"""

import math
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from trt import library
from trt.cuda import Cuda, Pair, cuda
from trt.errors import TrtError
from trt.recipe import Shape, Shapes

DTYPES = {"FLOAT": "float32", "HALF": "float16", "INT8": "int8", "INT32": "int32", "INT64": "int64", "BOOL": "bool",
          "UINT8": "uint8"}  # fmt: skip
KEPT_SHAPES = 64


class Buffers:
    """Memory for one run at a time: a pinned and a device buffer for every input and output."""

    def __init__(self, cuda: Cuda, sizes: Mapping[str, tuple[int, np.dtype]]) -> None:
        self.pairs: dict[str, Pair] = {}
        self.outputs: Mapping[str, Shape] = {}  # of the last run
        self.sent = self.ended = self.stream = 0  # two events, and the stream that inputs are sent on
        self.cuda = cuda
        try:
            for name, (nbytes, dtype) in sizes.items():
                self.pairs[name] = Pair(cuda, nbytes, dtype)
            self.sent, self.ended, self.stream = cuda.event(), cuda.event(), cuda.stream()
        except TrtError:
            self.close()
            raise

    def write(self, row: int, feeds: Mapping[str, np.ndarray]) -> None:
        """Copy rows in, from `row` on; several threads may do that at once, each to its own rows."""
        for name, array in feeds.items():
            start = row * (array.size // len(array))
            np.copyto(self.pairs[name].host[start : start + array.size], array.reshape(-1), casting="no")

    def read(self) -> dict[str, np.ndarray]:
        """A copy of every output of the last run."""
        found = {}
        for name, shape in self.outputs.items():
            found[name] = self.pairs[name].host[: math.prod(shape)].reshape(shape).copy()
        return found

    def close(self) -> None:
        """Give the memory back."""
        for pair in self.pairs.values():
            pair.close()
        for event in filter(None, (self.sent, self.ended)):
            self.cuda.cudaEventDestroy(event)
        if self.stream:
            self.cuda.cudaStreamDestroy(self.stream)
        self.sent = self.ended = self.stream = 0


class Runner:
    """A loaded engine. Several threads may run it; the GPU does one run after the other, in order."""

    def __init__(self, plan: bytes, sets: int = 1) -> None:
        """`sets`: of buffers. Raises TrtError: not_installed, no_gpu, build_failed, run_failed."""
        trt = library.tensorrt()
        self.cuda, self.lock = cuda(), threading.Lock()
        self.cuda.gpu()
        self.told = library.make_log(trt)
        self.buffers: list[Buffers] = []
        self.stream = 0
        self.runtime = library.make(trt, "Runtime", self.told)
        self.engine = self.runtime.deserialize_cuda_engine(plan)
        self.context = self.engine.create_execution_context() if self.engine is not None else None
        if self.context is None:
            raise TrtError("build_failed", f"TensorRT cannot load the engine{library.because(self.told)}")
        names = [self.engine.get_tensor_name(k) for k in range(self.engine.num_io_tensors)]
        into = trt.TensorIOMode.INPUT
        self.inputs = [name for name in names if self.engine.get_tensor_mode(name) == into]
        self.outputs = [name for name in names if name not in self.inputs]
        self.dtypes = {name: self.dtype_of(name) for name in names}
        self.shapes = {
            name: Shapes(*(tuple(shape) for shape in self.engine.get_tensor_profile_shape(name, 0)))
            for name in self.inputs
        }
        self.known: dict[tuple, dict[str, Shape]] = {}
        self.last: tuple = ()
        try:
            self.prepare(sets)
        except TrtError:
            self.close()
            raise

    def dtype_of(self, name: str) -> np.dtype:
        """The numpy type of a tensor (the library's own table needs an old numpy)."""
        kind = str(self.engine.get_tensor_dtype(name)).split(".")[-1]
        if kind not in DTYPES:
            raise TrtError("build_failed", f"the tensor {name!r} is {kind}, which numpy has not")
        return np.dtype(DTYPES[kind])

    def prepare(self, sets: int) -> None:
        """The stream and the buffers, for the largest sizes."""
        self.stream = self.cuda.stream()
        largest = {name: shapes.largest for name, shapes in self.shapes.items()}
        biggest = {**largest, **self.set_shapes(largest)}
        sizes = {}
        for name, shape in biggest.items():
            sizes[name] = (max(1, self.nbytes(name, shape)), self.dtypes[name])
        for _ in range(sets):
            self.buffers.append(Buffers(self.cuda, sizes))

    @property
    def max_rows(self) -> int:
        """The largest batch; 0 where not every input and output has a row for each of a request's."""
        rows = {(shapes.smallest[:1], shapes.largest[:1]) for shapes in self.shapes.values()}
        if len(rows) != 1 or () in next(iter(rows)):
            return 0
        (smallest,), (largest,) = rows.pop()
        with self.lock:
            for count in (smallest, largest):
                shapes = {name: (count, *sizes.largest[1:]) for name, sizes in self.shapes.items()}
                if any(shape[:1] != (count,) for shape in self.set_shapes(shapes).values()):
                    return 0
        return largest

    def set_shapes(self, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
        """Tell the context the inputs' sizes; returns those of the outputs. Raises TrtError: invalid."""
        key = tuple(shapes[name] for name in self.inputs)
        if key == self.last:
            return self.known[key]
        for name, shape in zip(self.inputs, key, strict=True):
            if not self.context.set_input_shape(name, shape):
                self.last = ()
                raise TrtError("invalid", f"the engine does not take {name!r} of the shape {list(shape)}")
        self.last = key
        if key not in self.known:
            outputs = {name: tuple(self.context.get_tensor_shape(name)) for name in self.outputs}
            if unknown := [name for name, shape in outputs.items() if min(shape, default=0) < 0]:
                self.last = ()
                raise TrtError("invalid", f"how large {unknown} is depends on the data; that cannot be served")
            if len(self.known) >= KEPT_SHAPES:
                self.known.clear()
            self.known[key] = outputs
        return self.known[key]

    def execute(self, buffers: Buffers, shapes: Mapping[str, Shape]) -> None:
        """Run what was written to the buffers, and wait for it. Raises TrtError; then `buffers` hold nothing."""
        api = self.cuda
        for name, shape in shapes.items():
            buffers.pairs[name].send(self.nbytes(name, shape), buffers.stream)
        api.check(api.cudaEventRecord(buffers.sent, buffers.stream), "record an event")
        with self.lock:
            outputs = self.set_shapes(shapes)
            for name, pair in buffers.pairs.items():
                self.context.set_tensor_address(name, pair.device_at)
            api.check(api.cudaStreamWaitEvent(self.stream, buffers.sent, 0), "wait for the inputs")
            if not self.context.execute_async_v3(self.stream):
                raise TrtError("run_failed", f"TensorRT could not run the engine{library.because(self.told)}")
            for name, shape in outputs.items():
                buffers.pairs[name].fetch(self.nbytes(name, shape), self.stream)
            api.check(api.cudaEventRecord(buffers.ended, self.stream), "record an event")
        api.check(api.cudaEventSynchronize(buffers.ended), "finish the run")
        buffers.outputs = outputs

    def nbytes(self, name: str, shape: Shape) -> int:
        """The size of a tensor."""
        return math.prod(shape) * self.dtypes[name].itemsize

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """All outputs by name; for one caller at a time. Raises TrtError."""
        arrays = self.checked(feeds)
        buffers = self.buffers[0]
        for name, array in arrays.items():
            np.copyto(buffers.pairs[name].host[: array.size], array.reshape(-1), casting="no")
        self.execute(buffers, {name: array.shape for name, array in arrays.items()})
        return buffers.read()

    def checked(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The feeds, contiguous. Raises TrtError (invalid) where one is missing, of another type, or out of bounds."""
        if sorted(feeds) != sorted(self.inputs):
            raise TrtError("invalid", f"the engine takes {sorted(self.inputs)}, not {sorted(feeds)}")
        for name, array in feeds.items():
            shapes = self.shapes[name]
            if not shapes.hold(array.shape):
                raise TrtError("invalid", f"input {name!r} is {list(array.shape)}; the engine was built for "
                                          f"{list(shapes.smallest)} to {list(shapes.largest)}")  # fmt: skip
            if array.dtype != self.dtypes[name]:
                raise TrtError("invalid", f"input {name!r} is {array.dtype}; the engine takes {self.dtypes[name]}")
        return {name: np.ascontiguousarray(feeds[name]) for name in self.inputs}

    def close(self) -> None:
        """Free everything; nothing runs any more."""
        if self.stream:
            self.cuda.cudaStreamSynchronize(self.stream)
        self.context = self.engine = self.runtime = None
        for buffers in self.buffers:
            buffers.close()
        if self.stream:
            self.cuda.cudaStreamDestroy(self.stream)
        self.buffers, self.stream = [], 0


def rows_of(feeds: Mapping[str, np.ndarray]) -> int:
    """The first dimension that all feeds share, else 0."""
    rows: Sequence[Any] = {array.shape[0] if array.ndim else 0 for array in feeds.values()}
    return rows.pop() if len(rows) == 1 else 0
