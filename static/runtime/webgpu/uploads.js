// Numbers on their way to the GPU: through buffers that stay mapped while they wait, which costs half of writeBuffer.

const LEAST_BYTES = 64 * 1024; // below, writeBuffer is as fast
const MOST = 8; // staging buffers of one input, as many as frames can be in flight

export class Uploads {
  /**
   * @param {GPUDevice} device @param {(descriptor: GPUBufferDescriptor) => GPUBuffer} allocate
   * @param {GPUBuffer} target @param {number} bytes
   */
  constructor(device, allocate, target, bytes) {
    this.device = device;
    this.allocate = allocate;
    this.target = target;
    this.bytes = bytes;
    /** @type {GPUBuffer[]} mapped, waiting for numbers */
    this.ready = [];
    /** @type {GPUBuffer[]} */
    this.all = [];
    /** @type {GPUBuffer|null} the one that the frame being encoded uses */
    this.used = null;
  }

  /** @param {GPUCommandEncoder} encoder @param {Float32Array} numbers */
  write(encoder, numbers) {
    const staging = this.bytes >= LEAST_BYTES ? this.ready.pop() ?? this.more() : null;
    if (!staging) {
      this.device.queue.writeBuffer(this.target, 0, /** @type {Float32Array<ArrayBuffer>} */ (numbers));
      return;
    }
    new Float32Array(staging.getMappedRange()).set(numbers);
    staging.unmap();
    encoder.copyBufferToBuffer(staging, 0, this.target, 0, this.bytes);
    this.used = staging;
  }

  /** After the submit of what was encoded: the buffer comes back once the GPU has read it. */
  sent() {
    const { used } = this;
    this.used = null;
    used?.mapAsync(GPUMapMode.WRITE).then(() => this.ready.push(used), () => {
      // freed with its plan, or lost with its device
    });
  }

  /** @returns {GPUBuffer|null} null where there are enough */
  more() {
    if (this.all.length >= MOST) return null;
    const buffer = this.allocate({ size: this.bytes, usage: GPUBufferUsage.MAP_WRITE | GPUBufferUsage.COPY_SRC, mappedAtCreation: true });
    this.all.push(buffer);
    return buffer;
  }
}
