# The images of the suite: `api` serves and has no torch, `worker` trains.
#
#   docker build --target api --tag llm-fastapi-api .
#   docker build --target worker --tag llm-fastapi-worker .
#
# Where packages come from can be changed: TORCH and pip's own variables are build arguments, and a folder of
# wheels can be passed as the build context `wheels` (air-gapped hosts, a CPU build of torch):
#
#   docker build --target worker --build-arg TORCH=torch==2.13.0+cpu --build-context wheels=wheels .
ARG PYTHON=3.12

FROM scratch AS wheels

FROM python:${PYTHON}-slim-trixie AS base
ENV PYTHONUNBUFFERED=1 PYTHONPATH=/app HOME=/tmp \
    PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
# A volume takes its owner from the folder it is first mounted on.
RUN groupadd --gid 10001 app \
    && useradd --uid 10001 --gid app --no-log-init --no-create-home --home-dir /tmp app \
    && install --directory --owner=app --group=app /data /data/jobs /data/base_models
WORKDIR /app

# The API talks to servers here: it needs neither the embedded ChromaDB nor the engines of the embedded runtime.
FROM base AS requirements
WORKDIR /requirements
COPY pyproject.toml constraints.txt ./
RUN python -c "import pathlib, tomllib; \
    project = tomllib.loads(pathlib.Path('pyproject.toml').read_text())['project']; \
    write = lambda name, wanted: pathlib.Path(name).write_text('\n'.join(wanted)); \
    embedded = {'chromadb', 'onnx', 'onnxruntime', 'xllamacpp'}; \
    assert embedded < set(project['dependencies']); \
    write('api.txt', ['chromadb-client', *project['optional-dependencies']['parquet'], \
        *project['optional-dependencies']['functions'], *project['optional-dependencies']['tables'], \
        *sorted(set(project['dependencies']) - embedded)]); \
    write('finetune.txt', ['xllamacpp', *project['optional-dependencies']['finetune']])" \
    && sed --in-place 's/^chromadb==/chromadb-client==/' constraints.txt \
    && rm pyproject.toml

FROM base AS api-packages
ARG PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_NO_INDEX
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,from=wheels,target=/wheels \
    --mount=type=bind,from=requirements,source=/requirements,target=/requirements \
    pip install --cache-dir /root/.cache/pip --find-links /wheels \
    --constraint /requirements/constraints.txt --requirement /requirements/api.txt

FROM api-packages AS api
RUN printf '#!/bin/sh\nexec python -m api "$@"\n' >/usr/local/bin/llm-fastapi \
    && chmod 755 /usr/local/bin/llm-fastapi
COPY examples/demo_model examples/demo_model
COPY finetune finetune
COPY api api
RUN python -m compileall -q api finetune
USER 10001:10001
EXPOSE 3000
CMD ["llm-fastapi"]

FROM api-packages AS worker-packages
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
ARG TORCH=torch==2.13.0
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,from=wheels,target=/wheels \
    --mount=type=bind,from=requirements,source=/requirements,target=/requirements \
    pip install --cache-dir /root/.cache/pip --find-links /wheels \
    --constraint /requirements/constraints.txt "$TORCH"
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=bind,from=wheels,target=/wheels \
    --mount=type=bind,from=requirements,source=/requirements,target=/requirements \
    pip install --cache-dir /root/.cache/pip --find-links /wheels \
    --constraint /requirements/constraints.txt --requirement /requirements/finetune.txt \
    && python -c "import xllamacpp, cyllama, llama_cpp, torch, bitsandbytes, peft, trl"

FROM worker-packages AS worker
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY scripts/load_base_model.py scripts/load_base_model.py
COPY finetune finetune
RUN python -m compileall -q finetune
# The converter and the quantizer of llama.cpp work, which their packages alone do not promise.
RUN --mount=type=bind,source=examples/demo_model,target=/demo_model \
    --mount=type=tmpfs,target=/tmp \
    python -m finetune.stages.convert --model /demo_model --out /tmp/demo.gguf --type f16 \
    && python -c "from pathlib import Path; from finetune.stages.quantize import quantize_file; \
    quantize_file(Path('/tmp/demo.gguf'), Path('/tmp/small.gguf'), 'Q8_0')"
# What serves a model besides, when it is told to: `model-server` in docker-compose.yml.
COPY api api
RUN python -m compileall -q api
USER 10001:10001
CMD ["python", "-m", "finetune.worker", "/data/jobs"]
