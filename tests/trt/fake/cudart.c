/* CUDA's runtime library on a machine without a GPU: device memory is host memory, everything happens at once.
 * FAKE_GPUS=0 in the environment: no GPU. FAKE_GPU_MB: how much memory there is. fake_live(): what was not freed. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static atomic_long live, bytes;

static int gpus(void) {
  const char *given = getenv("FAKE_GPUS");
  return given ? atoi(given) : 1;
}

static int take(void **out, size_t size) {
  const char *given = getenv("FAKE_GPU_MB");
  if (given && bytes + (long)size > atol(given) << 20) return 2; /* cudaErrorMemoryAllocation */
  size_t *block = malloc(size + 64);
  if (!block) return 2;
  *block = size;
  bytes += (long)size;
  live++;
  *out = (char *)block + 64;
  return 0;
}

static int give(void *at) {
  if (!at) return 0;
  size_t *block = (size_t *)((char *)at - 64);
  bytes -= (long)*block;
  live--;
  free(block);
  return 0;
}

long fake_live(void) { return live; }
int cudaGetDeviceCount(int *count) { *count = gpus(); return gpus() ? 0 : 35; }
int cudaGetDevice(int *device) { *device = 0; return gpus() ? 0 : 35; }
int cudaSetDevice(int device) { return device ? 101 : 0; }
int cudaGetDeviceProperties(void *at, int device) { (void)device; strcpy(at, "Fake GPU"); return 0; }
int cudaDeviceGetAttribute(int *out, int which, int device) { (void)device; *out = which == 75 ? 9 : 0; return 0; }
int cudaMalloc(void **out, size_t size) { return take(out, size); }
int cudaFree(void *at) { return give(at); }
int cudaHostAlloc(void **out, size_t size, unsigned flags) { (void)flags; return take(out, size); }
int cudaFreeHost(void *at) { return give(at); }
int cudaStreamCreateWithFlags(void **out, unsigned flags) { (void)flags; return take(out, 8); }
int cudaStreamDestroy(void *stream) { return give(stream); }
int cudaStreamSynchronize(void *stream) { (void)stream; return 0; }
int cudaEventCreateWithFlags(void **out, unsigned flags) { (void)flags; return take(out, 8); }
int cudaEventRecord(void *event, void *stream) { (void)event; (void)stream; return 0; }
int cudaStreamWaitEvent(void *stream, void *event, unsigned flags) { (void)stream; (void)event; return (int)flags; }
int cudaEventSynchronize(void *event) { (void)event; return getenv("FAKE_GPU_LOST") ? 700 : 0; }
int cudaEventDestroy(void *event) { return give(event); }
int cudaMemcpy(void *to, const void *from, size_t size, int kind) { (void)kind; memcpy(to, from, size); return 0; }
int cudaMemcpyAsync(void *to, const void *from, size_t size, int kind, void *stream) {
  (void)stream;
  return cudaMemcpy(to, from, size, kind);
}
const char *cudaGetErrorString(int code) {
  return code == 35 ? "CUDA driver version is insufficient for CUDA runtime version"
       : code == 2 ? "out of memory" : code == 700 ? "an illegal memory access was encountered" : "unknown error";
}
