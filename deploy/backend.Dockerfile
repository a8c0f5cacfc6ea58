# The PyTorch backend with its demo model. Build from the repository's root:
#   docker build -f deploy/backend.Dockerfile -t self-consistency-gateway-backend .
# For CUDA add `--build-arg TORCH_INDEX=`: the wheels on PyPI then bring it, several gigabytes of it.
ARG PYTHON_IMAGE=python:3.12.12-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PATH=/opt/scg/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/scg
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
# Dependencies first, with nothing of ours: a change of code then rebuilds in seconds.
RUN pip install ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} ".[backend]"
# The gateway as well: `backend probe` and the gateway probe by the same plan.
COPY gateway gateway
COPY backend backend
RUN pip install --no-deps --force-reinstall .

FROM ${PYTHON_IMAGE}
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin scg
COPY --from=build /opt/scg /opt/scg
# The model is in the package: no hub is asked, and what libraries want to cache goes to /tmp.
ENV PATH=/opt/scg/bin:$PATH PYTHONUNBUFFERED=1 HOME=/tmp HF_HUB_OFFLINE=1
USER 10001:10001
EXPOSE 8000
ENTRYPOINT ["python", "-m", "backend"]
CMD ["torch", "--host", "0.0.0.0", "--port", "8000"]
