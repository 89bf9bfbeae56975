"""The few functions of CUDA's runtime library that running an engine takes, through ctypes."""

import ctypes
import functools
import importlib.util
import os
from collections.abc import Iterator
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_uint, c_void_p
from ctypes.util import find_library
from pathlib import Path

import numpy as np

from trt.errors import TrtError

NAMES = ("libcudart.so", "libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0")
FOLDERS = ("/usr/local/cuda/lib64", "/usr/local/cuda/targets/x86_64-linux/lib")
TO_DEVICE, TO_HOST = 1, 2
NON_BLOCKING, NO_TIMING = 1, 2
MAJOR, MINOR = 75, 76  # attributes of a device: compute capability
PROPERTIES_BYTES = 8192  # more than the structure has in any version; the name is its first field

# Short calls keep Python's lock: giving it up and waiting for it again costs more than the call itself.
QUICK = {
    "cudaGetDeviceCount": [POINTER(c_int)],
    "cudaGetDevice": [POINTER(c_int)],
    "cudaSetDevice": [c_int],
    "cudaGetDeviceProperties": [c_void_p, c_int],
    "cudaDeviceGetAttribute": [POINTER(c_int), c_int, c_int],
    "cudaMalloc": [POINTER(c_void_p), c_size_t],
    "cudaFree": [c_void_p],
    "cudaHostAlloc": [POINTER(c_void_p), c_size_t, c_uint],
    "cudaFreeHost": [c_void_p],
    "cudaStreamCreateWithFlags": [POINTER(c_void_p), c_uint],
    "cudaStreamDestroy": [c_void_p],
    "cudaEventCreateWithFlags": [POINTER(c_void_p), c_uint],
    "cudaEventRecord": [c_void_p, c_void_p],
    "cudaEventDestroy": [c_void_p],
    "cudaStreamWaitEvent": [c_void_p, c_void_p, c_uint],
    "cudaMemcpyAsync": [c_void_p, c_void_p, c_size_t, c_int, c_void_p],
}
WAITING = {
    "cudaStreamSynchronize": [c_void_p],
    "cudaEventSynchronize": [c_void_p],
    "cudaMemcpy": [c_void_p, c_void_p, c_size_t, c_int],
}


def candidates() -> Iterator[str]:
    """Where the library may be: named by CUDART, in NVIDIA's wheels, known to the system, in the toolkit's folder."""
    if named := os.environ.get("CUDART"):
        yield named
        return
    for package in ("nvidia.cuda_runtime", "nvidia.cu13"):
        try:
            spec = importlib.util.find_spec(package)
        except ModuleNotFoundError:
            continue
        for place in spec.submodule_search_locations or () if spec else ():
            yield from map(str, sorted(Path(place, "lib").glob("libcudart.so.*"), reverse=True))
    if known := find_library("cudart"):
        yield known
    yield from NAMES
    for folder in FOLDERS:
        yield from map(str, sorted(Path(folder).glob("libcudart.so.*"), reverse=True))


class Cuda:
    """One loaded library. Every failure is a TrtError."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            quick, waiting = ctypes.PyDLL(path), ctypes.CDLL(path)
            for library, functions in ((quick, QUICK), (waiting, WAITING)):
                for name, arguments in functions.items():
                    function = getattr(library, name)
                    function.argtypes, function.restype = arguments, c_int
                    setattr(self, name, function)
            self.say = quick.cudaGetErrorString
        except (OSError, AttributeError) as error:
            raise TrtError("not_installed", f"CUDA's runtime library cannot be loaded ({error})") from error
        self.say.argtypes, self.say.restype = [c_int], c_char_p

    def check(self, code: int, what: str, kind: str = "run_failed") -> None:
        """Raise TrtError unless `code` is 0."""
        if code:
            said = (self.say(code) or b"unknown").decode(errors="replace")
            raise TrtError(kind, f"CUDA could not {what}: {said} (error {code})")

    def gpu(self) -> str:
        """The name and compute capability of the GPU in use, as in `NVIDIA H200 (sm_90)`."""
        count, device = c_int(), c_int()
        self.check(self.cudaGetDeviceCount(byref(count)), "find a GPU", "no_gpu")
        if not count.value:
            raise TrtError("no_gpu", "there is no GPU")
        self.check(self.cudaGetDevice(byref(device)), "find the GPU in use", "no_gpu")
        properties = ctypes.create_string_buffer(PROPERTIES_BYTES)
        self.check(self.cudaGetDeviceProperties(properties, device), "describe the GPU", "no_gpu")
        numbers = []
        for attribute in (MAJOR, MINOR):
            number = c_int()
            self.check(self.cudaDeviceGetAttribute(byref(number), attribute, device), "describe the GPU", "no_gpu")
            numbers.append(number.value)
        return f"{properties.value.decode(errors='replace')} (sm_{numbers[0]}{numbers[1]})"

    def made(self, function: str, what: str, *arguments: int) -> int:
        """The pointer that a function hands out through its first argument."""
        pointer = c_void_p()
        self.check(getattr(self, function)(byref(pointer), *arguments), what)
        return pointer.value or 0

    def stream(self) -> int:
        """A stream that does not wait for the default one."""
        return self.made("cudaStreamCreateWithFlags", "make a stream", NON_BLOCKING)

    def event(self) -> int:
        """An event that can be waited for."""
        return self.made("cudaEventCreateWithFlags", "make an event", NO_TIMING)


class Pair:
    """Pinned memory on the host and as much on the device, for one tensor; both live until `close`."""

    def __init__(self, cuda: Cuda, nbytes: int, dtype: np.dtype) -> None:
        self.cuda, self.nbytes, self.host_at, self.device_at = cuda, nbytes, 0, 0
        try:
            self.host_at = cuda.made("cudaHostAlloc", f"pin {nbytes} bytes", nbytes, 0)
            self.device_at = cuda.made("cudaMalloc", f"take {nbytes} bytes on the GPU", nbytes)
        except TrtError:
            self.close()
            raise
        raw = (ctypes.c_uint8 * nbytes).from_address(self.host_at)
        self.host = np.frombuffer(raw, np.uint8).view(dtype)

    def send(self, nbytes: int, stream: int) -> None:
        """To the device, in the stream's order."""
        code = self.cuda.cudaMemcpyAsync(self.device_at, self.host_at, nbytes, TO_DEVICE, stream)
        self.cuda.check(code, "copy to the GPU")

    def fetch(self, nbytes: int, stream: int) -> None:
        """To the host, in the stream's order."""
        code = self.cuda.cudaMemcpyAsync(self.host_at, self.device_at, nbytes, TO_HOST, stream)
        self.cuda.check(code, "copy from the GPU")

    def close(self) -> None:
        """Give both back; `host` must not be used any more."""
        if self.host_at:
            self.cuda.cudaFreeHost(self.host_at)
        if self.device_at:
            self.cuda.cudaFree(self.device_at)
        self.host_at = self.device_at = 0


@functools.cache
def load(path: str) -> Cuda:
    """A library by its path, once per process."""
    return Cuda(path)


def cuda() -> Cuda:
    """The first library that loads. Raises TrtError: not_installed."""
    reasons = []
    for path in candidates():
        try:
            return load(path)
        except TrtError as error:
            reasons.append(str(error))
    reason = reasons[0] if reasons else "there is none"
    raise TrtError("not_installed", f"no libcudart was found ({reason}); set CUDART to its path")
