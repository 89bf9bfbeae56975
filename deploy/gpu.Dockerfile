# The server on TensorRT, with ONNX Runtime on the CPU while engines are built and wherever they cannot be.
#     docker build -f deploy/gpu.Dockerfile -t inpage-gpu .
#     docker run --gpus all --read-only --tmpfs /dev/shm -p 8000:8000 -v ./models:/models:ro -v inpage-engines:/engines inpage-gpu
# Engines are kept in the volume: building one takes minutes, and it fits one kind of GPU only.

ARG CUDA=12.6.3
FROM nvidia/cuda:${CUDA}-base-ubuntu24.04 AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN python3 -m venv /srv/inpage \
    && /srv/inpage/bin/pip install --no-cache-dir ".[onnx]" "tensorrt-cu12>=10,<11"

FROM nvidia/cuda:${CUDA}-base-ubuntu24.04
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --no-create-home --uid 10001 inpage \
    && mkdir /models /engines \
    && chown 10001 /engines
COPY --from=build /srv/inpage /srv/inpage
USER 10001
ENV PATH=/srv/inpage/bin:$PATH \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    INPAGE_HOST=0.0.0.0 \
    INPAGE_PORT=8000 \
    INPAGE_MODELS=/models \
    INPAGE_ENGINES=tensorrt,onnx \
    INPAGE_TRT_CACHE=/engines \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /models
VOLUME /engines
EXPOSE 8000
# The stop takes INPAGE_DRAIN_S + INPAGE_GRACE_S at most: docker stop --time 30.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/v2/health/ready', timeout=2)"]
ENTRYPOINT ["python", "-m", "webapp"]
