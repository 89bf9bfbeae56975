# The server on ONNX Runtime, without a compiler, a browser or Paddle in it.
#     docker build -f deploy/cpu.Dockerfile -t inpage .
#     docker run --read-only --tmpfs /dev/shm -p 8000:8000 -v ./models:/models:ro inpage
# The kernels are built in the first stage; the second one gets wheels only.

ARG PYTHON=3.12
FROM python:${PYTHON}-slim-bookworm AS build
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --wheel-dir /wheels ".[onnx]"

FROM python:${PYTHON}-slim-bookworm
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-compile --no-index --find-links /wheels "paddle-inpage[onnx]"
RUN useradd --system --no-create-home --uid 10001 inpage && mkdir /models
USER 10001
# Inside, every address: the container's own network keeps strangers out. One process: ONNX Runtime runs without Python's
# lock, so threads suffice.
ENV INPAGE_HOST=0.0.0.0 \
    INPAGE_PORT=8000 \
    INPAGE_MODELS=/models \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /models
EXPOSE 8000
# The stop takes INPAGE_DRAIN_S + INPAGE_GRACE_S at most: docker stop --time 30.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/v2/health/ready', timeout=2)"]
ENTRYPOINT ["python", "-m", "webapp"]
