"""An ONNX model -> a serialised engine, with every TensorRT from 8.5 on.

What changed between them: 10 made explicit batches the only kind, 11 took away the precision flags and the
calibrators, so that the model itself has to say where it is in half precision or in integers.
"""

import contextlib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from trt import library
from trt.cache import write_whole
from trt.errors import TrtError
from trt.recipe import Recipe

QUICK_LEVEL = 1  # of 0 to 5; 3 is the library's own

Progress = Callable[[str, int], None]


def silent(stage: str, steps: int) -> None:
    """Where nobody watches."""


def build(onnx: bytes, recipe: Recipe, *, float32: Collection[str] = (),
          calibrator: Callable[[Any], Any] | None = None, timing: Path | None = None,
          progress: Progress = silent) -> bytes:
    """The engine as bytes; takes minutes. Raises TrtError.

    float32: nodes of the model (by their outputs) that lower precisions leave alone.
    calibrator: makes the library's calibrator, needed for int8 where the model has no Q/DQ nodes.
    timing: a file that keeps how fast each layer's candidates were on this GPU, for further builds.
    progress: called with the stage ("parsing", "building") and how many layers have been timed so far.
    """  # fmt: skip
    trt = library.tensorrt()
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1
        progress("building", steps)

    told = library.make_log(trt, step)
    builder = library.make(trt, "Builder", told)
    progress("parsing", 0)
    network = parse(trt, builder, onnx, told)
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, recipe.workspace_mb << 20)
    if recipe.quick:
        hurry(trt, config)
    times = known_times(config, timing)
    add_profile(builder, config, network, recipe)
    # The calibrator must live as long as the build; the library keeps no reference of its own.
    kept = set_precision(trt, builder, config, network, recipe, calibrator)
    if float32 and weakly_typed(trt) and recipe.precision != "fp32":
        keep_in_float32(trt, config, network, float32)
    progress("building", 0)
    try:
        plan = builder.build_serialized_network(network, config)
    finally:
        if kept is not None:
            kept.close()
    if kept is not None and kept.problem is not None:
        raise kept.problem
    if plan is None:
        raise TrtError("build_failed", f"TensorRT could not build the engine{library.because(told)}")
    if timing is not None and times is not None:
        with contextlib.suppress(TrtError):  # only the next build is slower for it
            write_whole(timing, bytes(times.serialize()))
    return bytes(plan)


def hurry(trt: Any, config: Any) -> None:
    """A build in a fraction of the time: only convolutions' own kernels, the likely ones, each timed once."""
    config.set_tactic_sources(1 << int(trt.TacticSource.EDGE_MASK_CONVOLUTIONS))
    config.avg_timing_iterations = 1
    if hasattr(config, "builder_optimization_level"):  # from 8.6 on
        config.builder_optimization_level = QUICK_LEVEL
    if hasattr(trt.BuilderFlag, "ENABLE_TACTIC_HEURISTIC"):
        config.set_flag(trt.BuilderFlag.ENABLE_TACTIC_HEURISTIC)


def known_times(config: Any, timing: Path | None) -> Any:
    """The library's table of times, filled from the file if there is one that it takes."""
    if timing is None:
        return None
    try:
        content = timing.read_bytes()
    except OSError:
        content = b""
    for start in (content, b""):
        times = config.create_timing_cache(start)
        if times is not None and config.set_timing_cache(times, False):
            return times
    return None


def parse(trt: Any, builder: Any, onnx: bytes, told: Any) -> Any:
    """The network of a model. Raises TrtError: build_failed, with every complaint of the parser."""
    explicit = getattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH", None)
    flags = 1 << int(explicit) if explicit is not None and library.version(trt) < (10, 0) else 0
    if not weakly_typed(trt):
        flags |= 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(flags)
    parser = trt.OnnxParser(network, told)
    if not parser.parse(onnx):
        complaints = "; ".join(str(parser.get_error(k).desc()) for k in range(parser.num_errors))
        raise TrtError("build_failed", f"TensorRT cannot read the model: {complaints or 'no reason given'}"[:600])
    return network


def weakly_typed(trt: Any) -> bool:
    """Whether precision is asked for by flags; from 11 on the model alone says it."""
    return hasattr(trt.BuilderFlag, "FP16") and library.version(trt) < (11, 0)


def inputs_of(network: Any) -> dict[str, Any]:
    """The network's inputs by name."""
    tensors = [network.get_input(k) for k in range(network.num_inputs)]
    return {tensor.name: tensor for tensor in tensors}


def add_profile(builder: Any, config: Any, network: Any, recipe: Recipe) -> None:
    """Tell the builder the sizes. Raises TrtError (invalid) when the recipe does not fit the model."""
    inputs = inputs_of(network)
    if sorted(inputs) != sorted(recipe.shapes):
        raise TrtError("invalid", f"the model's inputs are {sorted(inputs)}; the recipe has {sorted(recipe.shapes)}")
    profile = builder.create_optimization_profile()
    for name, tensor in inputs.items():
        shapes, declared = recipe.shapes[name], tuple(tensor.shape)
        for shape in (shapes.smallest, shapes.largest):
            if len(shape) != len(declared) or any(d not in (-1, s) for d, s in zip(declared, shape, strict=True)):
                raise TrtError("invalid", f"input {name!r} is {declared}; the recipe has {shape}")
        profile.set_shape(name, shapes.smallest, shapes.usual, shapes.largest)
    if config.add_optimization_profile(profile) < 0:
        raise TrtError("invalid", f"TensorRT refuses the sizes {recipe.shapes}")


def quantised(trt: Any, network: Any) -> bool:
    """Whether the model says by Q/DQ nodes where it computes in integers."""
    kind = getattr(trt.LayerType, "QUANTIZE", None)
    return any(network.get_layer(k).type == kind for k in range(network.num_layers))


def keep_in_float32(trt: Any, config: Any, network: Any, wanted: Collection[str]) -> None:
    """Compute the nodes with these outputs, and store what they give, in float32.

    The parser may make several layers of a node: the last one gives its output, the ones before have no names.
    The builder may still leave a constraint that it cannot keep; what an engine answers is measured in any case.
    """
    config.set_flag(trt.BuilderFlag.PREFER_PRECISION_CONSTRAINTS)
    inside = False
    for k in reversed(range(network.num_layers)):
        layer = network.get_layer(k)
        outputs = [layer.get_output(at) for at in range(layer.num_outputs)]
        if any(not tensor.name.startswith("(Unnamed Layer") for tensor in outputs):
            inside = any(tensor.name in wanted for tensor in outputs)
        if inside and layer.type != trt.LayerType.CONSTANT and all(t.dtype == trt.DataType.FLOAT for t in outputs):
            layer.precision = trt.DataType.FLOAT
            for at in range(layer.num_outputs):
                layer.set_output_type(at, trt.DataType.FLOAT)


def set_precision(trt: Any, builder: Any, config: Any, network: Any, recipe: Recipe, calibrator: Any) -> Any:
    """Set the flags; returns what must be kept alive. Raises TrtError when this TensorRT cannot do that."""
    if not weakly_typed(trt):
        if recipe.precision == "int8" and not quantised(trt, network):
            raise TrtError("invalid", f"TensorRT {trt.__version__} takes int8 only from a model with Q/DQ nodes; make "
                                      "one with: python -m trt quantise")  # fmt: skip
        return None
    if hasattr(trt.BuilderFlag, "TF32"):
        config.clear_flag(trt.BuilderFlag.TF32)  # on by default, and three digits short of fp32
    if recipe.precision == "fp32":
        return None
    config.set_flag(trt.BuilderFlag.FP16)  # int8 too: what is not worth a conversion to integers stays in half
    if recipe.precision == "fp16":
        return None
    config.set_flag(trt.BuilderFlag.INT8)
    if quantised(trt, network):
        return None
    if not hasattr(trt, "IInt8EntropyCalibrator2"):
        raise TrtError("invalid", f"TensorRT {trt.__version__} has no calibrators; give it a model with Q/DQ nodes")
    if calibrator is None:
        raise TrtError("invalid", "int8 needs pictures to calibrate with, or a model with Q/DQ nodes")
    config.int8_calibrator = kept = calibrator(trt)
    usual = builder.create_optimization_profile()
    for name, shapes in recipe.shapes.items():
        usual.set_shape(name, shapes.usual, shapes.usual, shapes.usual)
    config.set_calibration_profile(usual)
    return kept


def shapes_of_model(onnx: bytes) -> Mapping[str, tuple[int, ...]]:
    """The inputs of a model as TensorRT reads them; -1 for what is known only at run time."""
    trt = library.tensorrt()
    told = library.make_log(trt)
    network = parse(trt, library.make(trt, "Builder", told), onnx, told)
    return {name: tuple(tensor.shape) for name, tensor in inputs_of(network).items()}
