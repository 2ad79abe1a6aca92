# syntax=docker/dockerfile:1
#
#     docker build --target cpu -t posemamba:cpu .
#     docker build --target cuda -t posemamba:cuda .
#     docker run --rm -v "$PWD:/data" posemamba:cpu lift walk.mp4 -o out
#     docker run --rm --gpus all -v "$PWD:/data" posemamba:cuda train mocap -o runs/s
#
# Neither needs a CUDA toolkit: PyTorch's wheels bring their libraries, and the kernels are compiled at run time.

FROM python:3.12-slim-bookworm AS base
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1 HOME=/home/posemamba
RUN useradd --create-home --uid 1000 posemamba
WORKDIR /source

FROM base AS wheel
RUN pip install build
COPY . .
RUN python -m build --wheel --outdir /dist

FROM base AS cuda
# Triton compiles a small launcher with the C compiler
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
RUN pip install "torch>=2.6,<2.16"
RUN --mount=from=wheel,source=/dist,target=/dist pip install "$(ls /dist/*.whl)[all]"
USER posemamba
WORKDIR /data
ENTRYPOINT ["posemamba"]
CMD ["--help"]

FROM base AS cpu
RUN pip install "torch>=2.6,<2.16" --index-url https://download.pytorch.org/whl/cpu
RUN --mount=from=wheel,source=/dist,target=/dist pip install "$(ls /dist/*.whl)[all]"
USER posemamba
WORKDIR /data
ENTRYPOINT ["posemamba"]
CMD ["--help"]
