# An image with .venv made by tools/setup_env.sh. Not built by the tests: no Docker is at hand there.
#   docker build -t rsc_mm .                                          CPU, everything
#   docker build -t rsc_mm --build-arg WHAT=core .                    no mmcv, mmdet, mmseg: nothing is compiled
#   docker build -t rsc_mm --build-arg BASE=nvidia/cuda:13.0.1-devel-ubuntu22.04 .     CUDA
# PyTorch brings its own CUDA. While an image is built no GPU is visible, so that mmcv's operators are those of the CPU:
# for F-ViT on a GPU remove .venv and run tools/setup_env.sh all in a container that sees one.
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}
ARG WHAT=all
RUN apt-get update && apt-get install -y --no-install-recommends g++ libgl1 libglib2.0-0 \
    && (command -v python3 || apt-get install -y --no-install-recommends python3 python3-venv python3-dev) \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /rsc_mm
COPY . .
RUN PIP_NO_CACHE_DIR=1 bash tools/setup_env.sh "$WHAT"
ENV PATH="/rsc_mm/.venv/bin:$PATH"
