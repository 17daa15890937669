# The server in an image: no root, nothing to write but /data, no build tools.
#
#   docker build --tag rekognition-emulator .
#   docker build --tag rekognition-emulator --build-arg EXTRAS=1 --build-arg MODELS="yunet auraface" .

FROM python:3.11-slim-bookworm AS build
# Milvus and tracing too, where EXTRAS is not empty.
ARG EXTRAS=""
# Face models to fetch now rather than at the first start; their SHA-256 is checked.
ARG MODELS=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /srv
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
# Before the sources, which change more often.
COPY requirements.lock requirements-extras.lock ./
RUN pip install --require-hashes -r requirements${EXTRAS:+-extras}.lock
COPY pyproject.toml README.md LICENSE THIRD_PARTY.md ./
COPY botocore_models botocore_models
COPY rekognition_emulator rekognition_emulator
RUN pip install --no-deps --no-build-isolation .
WORKDIR /
RUN mkdir /models && if [ -n "$MODELS" ]; then REKOGNITION_MODELS_DIR=/models rekognition-emulator models pull $MODELS; fi
# What is recommended, where its publishers can be reached; without it the embedded models serve.
RUN mkdir /recommended && (REKOGNITION_RECOMMENDED_DIR=/recommended rekognition-emulator models pull recommended || true)
# What only installs does not serve.
RUN pip uninstall --yes setuptools pip && python -m compileall -q /opt/venv/lib

FROM python:3.11-slim-bookworm
RUN groupadd --gid 10001 rekognition && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data rekognition && install -d -o 10001 -g 10001 -m 0700 /data
COPY --from=build /opt/venv /opt/venv
COPY --from=build /models /models
COPY --from=build /recommended /recommended
# ONNX Runtime reports to its maker otherwise; the server sees to that, too, but not what else somebody runs in here.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1 \
    REKOGNITION_HOST=0.0.0.0 \
    REKOGNITION_DATA_DIR=/data \
    REKOGNITION_MODELS_DIR=/models \
    REKOGNITION_RECOMMENDED_DIR=/recommended
WORKDIR /data
USER 10001:10001
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/readyz', timeout=2)"]
ENTRYPOINT ["rekognition-emulator"]
CMD ["serve"]
