# The gateway with its core dependencies only. Build from the repository's root:
#   docker build -f deploy/gateway.Dockerfile -t self-consistency-gateway .
#   docker run -p 127.0.0.1:8080:8080 -e SCG_UPSTREAM_URL=http://my-vllm:8000 self-consistency-gateway
ARG PYTHON_IMAGE=python:3.12.12-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PATH=/opt/scg/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/scg
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
# Dependencies first, with nothing of ours: a change of code then rebuilds in seconds.
RUN pip install .
COPY gateway gateway
RUN pip install --no-deps --force-reinstall .

FROM ${PYTHON_IMAGE}
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin scg
COPY --from=build /opt/scg /opt/scg
# Inside a container the loopback address is reachable by nobody else.
ENV PATH=/opt/scg/bin:$PATH PYTHONUNBUFFERED=1 HOME=/tmp SCG_HOST=0.0.0.0
USER 10001:10001
EXPOSE 8080
ENTRYPOINT ["python", "-m", "gateway"]
CMD ["serve"]
