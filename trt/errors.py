"""The one error of this package."""

KINDS = (
    "not_installed",  # tensorrt or CUDA's runtime library cannot be loaded
    "no_gpu",  # both are there, and no GPU that they can use
    "invalid",  # the model, the recipe or the inputs make no sense
    "build_failed",  # TensorRT refused or failed to build or load the engine
    "out_of_tolerance",  # the engine runs, and its numbers are not the reference's
    "cannot_write",  # the engine is good, and could not be kept
    "run_failed",  # CUDA or TensorRT failed while running
)


class TrtError(Exception):
    """What went wrong, in one sentence; `kind` is one of KINDS."""

    def __init__(self, kind: str, reason: str) -> None:
        if kind not in KINDS:
            raise ValueError(f"no such kind of error: {kind}")
        super().__init__(reason)
        self.kind = kind
