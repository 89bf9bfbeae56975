"""TensorRT on a machine without a GPU: the same calls in the same order, computed by ONNX Runtime.

What it does wrong on purpose is said in the environment, so that it reaches processes too:
FAKE_TRT_VERSION (8.5.3.1); FAKE_TRT=no_cudnn | no_gpu | cannot_parse | build_fails | crashes;
FAKE_TRT_OFF=a number added to every output; FAKE_TRT_ROUNDS: half precision has 16 bits, where it is allowed;
FAKE_TRT_COARSE=a number, of which int8 answers whole multiples; FAKE_TRT_BUILD_S=how long a build takes;
FAKE_TRT_HOLD=a file that a build waits to see gone; FAKE_TRT_RUN_MS="per run,per row";
FAKE_TRT_RUN_FAILS; FAKE_TRT_LOG=a file that gets a line, the model's hash, for every build.
"""

import ctypes
import enum
import hashlib
import json
import os
import time

import numpy as np
import onnx
import onnxruntime

__version__ = os.environ.get("FAKE_TRT_VERSION", "8.5.3.1")
MAJOR = int(__version__.split(".")[0])
LAYERS, TIMES = 7, b"times on this GPU"


def mode() -> str:
    return os.environ.get("FAKE_TRT", "")


if mode() == "no_cudnn":
    raise ImportError("libcudnn.so.8: cannot open shared object file: No such file or directory")


class ILogger:
    class Severity(enum.Enum):
        INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)

    def __init__(self):
        pass


S = ILogger.Severity


def need_gpu(logger):
    if mode() == "no_gpu":
        logger.log(S.WARNING, "Unable to determine GPU memory usage")
        logger.log(S.WARNING, "CUDA initialization failure with error: 35")
        raise TypeError("pybind11::init(): factory function returned nullptr")


if MAJOR < 11:

    class NetworkDefinitionCreationFlag(enum.IntEnum):
        EXPLICIT_BATCH = 0
        STRONGLY_TYPED = 1

else:

    class NetworkDefinitionCreationFlag(enum.IntEnum):
        STRONGLY_TYPED = 1


class MemoryPoolType(enum.Enum):
    WORKSPACE = 0


class TacticSource(enum.IntEnum):
    CUBLAS, CUBLAS_LT, CUDNN, EDGE_MASK_CONVOLUTIONS, JIT_CONVOLUTIONS = range(5)


class TensorIOMode(enum.Enum):
    NONE, INPUT, OUTPUT = range(3)


class DataType(enum.Enum):
    FLOAT, HALF, INT8, INT32, BOOL, UINT8, INT64 = range(7)


class LayerType(enum.Enum):
    CONVOLUTION, QUANTIZE, CONSTANT, OTHER = range(4)


FLAGS = ["TF32", "DEBUG"] if MAJOR >= 11 else ["FP16", "INT8", "TF32", "ENABLE_TACTIC_HEURISTIC",
                                                     "PREFER_PRECISION_CONSTRAINTS"]
BuilderFlag = enum.IntEnum("BuilderFlag", FLAGS)

if MAJOR < 11:

    class IInt8EntropyCalibrator2:
        def __init__(self):
            pass


class Tensor:
    dtype = DataType.FLOAT

    def __init__(self, info):
        self.name = info.name
        self.shape = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in info.type.tensor_type.shape.dim)


class Inner:
    """A tensor between layers."""

    def __init__(self, name, dtype=DataType.FLOAT):
        self.name, self.dtype = name, dtype


class Layer:
    def __init__(self, kind, outputs):
        self.type, self.outputs = kind, outputs
        self.precision, self.given = None, {}

    num_outputs = property(lambda self: len(self.outputs))

    def get_output(self, k):
        return self.outputs[k]

    def set_output_type(self, k, dtype):
        self.given[k] = dtype

    @property
    def exact(self):
        """Whether it is told to compute and to answer in float32."""
        return {self.precision, *self.given.values()} == {DataType.FLOAT} and len(self.given) == len(self.outputs)


def layers_of(node, kind):
    """As the parser makes them: of a mean, a constant and a layer that nobody named come first."""
    named = Layer(kind, [Inner(name) for name in node.output])
    if node.op_type != "ReduceMean":
        return [named]
    return [Layer(LayerType.CONSTANT, [Inner("(Unnamed Layer* 0) [Constant]_output", DataType.INT32)]),
            Layer(kind, [Inner("(Unnamed Layer* 1) [Shuffle]_output")]), named]  # fmt: skip


def rounded(content, layers):
    """The model with 16 bits for what every node gives that may be in half precision."""
    exact = {tensor.name for layer in layers if layer.exact for tensor in layer.outputs}
    model, nodes = onnx.load_from_string(content), []
    for node in model.graph.node:
        nodes.append(node)
        if node.output[0] not in exact and node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            name, node.output[0] = node.output[0], node.output[0] + "'"
            nodes.append(onnx.helper.make_node("Cast", [name + "'"], [name + '"'], to=onnx.TensorProto.FLOAT16))
            nodes.append(onnx.helper.make_node("Cast", [name + '"'], [name], to=onnx.TensorProto.FLOAT))
    kept = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return model.SerializeToString()


class Network:
    def __init__(self, flags):
        self.flags, self.inputs, self.layers, self.onnx = flags, [], [], b""

    num_inputs = property(lambda self: len(self.inputs))
    num_layers = property(lambda self: len(self.layers))

    def get_input(self, k):
        return self.inputs[k]

    def get_layer(self, k):
        return self.layers[k]


class OnnxParser:
    def __init__(self, network, logger):
        self.network, self.errors = network, []

    num_errors = property(lambda self: len(self.errors))

    def get_error(self, k):
        return self.errors[k]

    def parse(self, content):
        class Complaint:
            def desc(self):
                return "No importer registered for op: Mystery"

        try:
            model = onnx.load_from_string(content)
        except Exception:
            model = None
        if model is None or mode() == "cannot_parse":
            self.errors = [Complaint()]
            return False
        kinds = {"QuantizeLinear": LayerType.QUANTIZE, "Conv": LayerType.CONVOLUTION}
        self.network.onnx = content
        self.network.inputs = [Tensor(info) for info in model.graph.input]
        self.network.layers = [layer for node in model.graph.node
                               for layer in layers_of(node, kinds.get(node.op_type, LayerType.OTHER))]  # fmt: skip
        return True


class Profile:
    def __init__(self):
        self.shapes = {}

    def set_shape(self, name, smallest, usual, largest):
        self.shapes[name] = [tuple(smallest), tuple(usual), tuple(largest)]


class TimingCache:
    def __init__(self, content):
        self.content = bytes(content)

    def serialize(self):
        return TIMES


class Config:
    def __init__(self):
        self.times, self.avg_timing_iterations = None, 8
        self.flags, self.pools, self.profiles, self.sources = set(), {}, [], None
        if MAJOR < 11:
            self.int8_calibrator = None

    def set_memory_pool_limit(self, pool, size):
        self.pools[pool] = size

    def set_tactic_sources(self, mask):
        self.sources = mask

    def create_timing_cache(self, content):
        return TimingCache(content)

    def set_timing_cache(self, cache, ignore_mismatch):
        if cache.content not in (b"", TIMES):
            return False
        self.times = cache
        return True

    def set_flag(self, flag):
        self.flags.add(flag.name)

    def clear_flag(self, flag):
        self.flags.discard(flag.name)

    def add_optimization_profile(self, profile):
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def set_calibration_profile(self, profile):
        self.calibration = profile


class Builder:
    def __init__(self, logger):
        need_gpu(logger)
        self.logger = logger

    def create_network(self, flags):
        if MAJOR < 10 and not flags & 1:
            raise TypeError("implicit batches are not explicit ones")
        return Network(flags)

    def create_builder_config(self):
        return Config()

    def create_optimization_profile(self):
        return Profile()

    def build_serialized_network(self, network, config):
        if "FAKE_TRT_LOG" in os.environ:
            with open(os.environ["FAKE_TRT_LOG"], "a") as log:
                log.write(hashlib.sha256(network.onnx).hexdigest() + "\n")
        for k in range(LAYERS):
            self.logger.log(S.VERBOSE, f"=============== Computing costs for layer {k}")
            time.sleep(float(os.environ.get("FAKE_TRT_BUILD_S", "0")) / LAYERS)
        while os.path.exists(os.environ.get("FAKE_TRT_HOLD", "")):
            time.sleep(0.02)
        if mode() == "crashes":
            os.abort()
        if mode() == "build_fails":
            self.logger.log(S.ERROR, "10: [optimizer.cpp::computeCosts::3728] Error Code 10: Internal Error (Could not "
                                     "find any implementation for node conv_0.)")  # fmt: skip
            return None
        table = self.calibrate(config) if "INT8" in config.flags and config.int8_calibrator is not None else ""
        head = {"known_times": self.known_times(config), "shapes": config.profiles[0].shapes, "table": table,
                "flags": sorted(config.flags), "sources": config.sources, "version": __version__,
                "exact": [layer.outputs[0].name for layer in network.layers if layer.exact]}  # fmt: skip
        half = "FP16" in config.flags and "FAKE_TRT_ROUNDS" in os.environ
        content = rounded(network.onnx, network.layers) if half else network.onnx
        return json.dumps(head).encode() + b"\n" + content

    def known_times(self, config):
        return config.times is not None and config.times.content == TIMES

    def calibrate(self, config):
        """The largest absolute value of each input over all batches, or what the table says."""
        calibrator = config.int8_calibrator
        known = calibrator.read_calibration_cache()
        if known:
            return known.decode()
        shapes, most, count = config.calibration.shapes, {}, 0
        while (found := calibrator.get_batch(list(shapes))) is not None:
            count += 1
            for (name, (shape, _, _)), address in zip(shapes.items(), found, strict=True):
                assert shape[0] == calibrator.get_batch_size()
                most[name] = max(most.get(name, 0.0), float(np.abs(view(address, shape, np.float32)).max()))
        table = json.dumps({"batches": count, "most": most})
        calibrator.write_calibration_cache(table.encode())
        return table


def view(address, shape, dtype):
    """Memory as an array."""
    count = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_uint8 * count).from_address(address), np.uint8).view(dtype).reshape(shape)


class Runtime:
    def __init__(self, logger):
        need_gpu(logger)
        self.logger = logger

    def deserialize_cuda_engine(self, plan):
        head, _, model = bytes(plan).partition(b"\n")
        try:
            about = json.loads(head)
        except ValueError:
            about = {}
        if about.get("version") != __version__:
            self.logger.log(S.ERROR, "6: The engine plan file is not compatible with this version of TensorRT")
            return None
        return Engine(about, model, self.logger)


class Engine:
    def __init__(self, about, model, logger):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.shapes, self.flags, self.logger = about["shapes"], about["flags"], logger
        self.ins = {i.name: i for i in self.session.get_inputs()}
        self.outs = {o.name: o for o in self.session.get_outputs()}
        self.names = [*self.ins, *self.outs]

    num_io_tensors = property(lambda self: len(self.names))

    def get_tensor_name(self, k):
        return self.names[k]

    def get_tensor_mode(self, name):
        return TensorIOMode.INPUT if name in self.ins else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name):
        kinds = {"tensor(float)": DataType.FLOAT, "tensor(float16)": DataType.HALF, "tensor(int64)": DataType.INT64}
        return kinds[(self.ins | self.outs)[name].type]

    def get_tensor_profile_shape(self, name, profile):
        return self.shapes[name]

    def create_execution_context(self):
        return Context(self)


class Context:
    def __init__(self, engine):
        self.engine, self.shapes, self.addresses = engine, {}, {}
        self.known = {}

    def set_input_shape(self, name, shape):
        low, _, high = self.engine.shapes[name]
        if len(shape) != len(low) or not all(a <= b <= c for a, b, c in zip(low, shape, high, strict=True)):
            self.engine.logger.log(S.ERROR, "3: [executionContext.cpp] Error Code 3: API Usage Error (out of profile)")
            return False
        self.shapes[name] = tuple(shape)
        return True

    def compute(self, feeds):
        return dict(zip(self.engine.outs, self.engine.session.run(list(self.engine.outs), feeds), strict=True))

    def get_tensor_shape(self, name):
        key = tuple(self.shapes.items())
        if key not in self.known:
            feeds = {k: np.zeros(shape, np.float32) for k, shape in self.shapes.items()}
            self.known[key] = {k: a.shape for k, a in self.compute(feeds).items()}
        return self.known[key][name]

    def set_tensor_address(self, name, address):
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream):
        if os.environ.get("FAKE_TRT_RUN_FAILS"):
            self.engine.logger.log(S.ERROR, "1: [genericReformat.cu] Error Code 1: Cuda Runtime (illegal address)")
            return False
        feeds = {k: view(self.addresses[k], shape, np.float32) for k, shape in self.shapes.items()}
        per_run, per_row = map(float, os.environ.get("FAKE_TRT_RUN_MS", "0,0").split(","))
        time.sleep((per_run + per_row * next(iter(self.shapes.values()))[0]) / 1000)
        for name, array in self.compute(feeds).items():
            if "INT8" in self.engine.flags and "FAKE_TRT_COARSE" in os.environ:
                step = float(os.environ["FAKE_TRT_COARSE"])
                array = np.round(array / step) * step
            view(self.addresses[name], array.shape, array.dtype)[...] = array + np.array(
                float(os.environ.get("FAKE_TRT_OFF", "0")), array.dtype
            )
        return True
