# Built from the same hash-pinned locks as a developer's environment. The file system may be read-only but for /data.
FROM python:3.12-slim AS build
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY requirements-build.lock requirements.lock pyproject.toml README.md ./
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --require-hashes -r requirements-build.lock \
 && CC="gcc -O2 -fno-strict-aliasing" /venv/bin/pip install --no-cache-dir --require-hashes --no-build-isolation --no-binary durable-rules -r requirements.lock
COPY rules_service ./rules_service
RUN /venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.12-slim
# glibc gives memory back at every engine session unless told not to; measured eightfold for small rule sets.
ENV MALLOC_TRIM_THRESHOLD_=268435456 \
    MALLOC_TOP_PAD_=16777216 \
    MALLOC_MMAP_THRESHOLD_=268435456 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PATH=/venv/bin:$PATH \
    PYTHONPATH=/app \
    DATA_DIR=/data \
    DATABASE_URL=sqlite:////data/rules.db \
    HOST=0.0.0.0
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin rules && mkdir /data && chown rules:rules /data
COPY --from=build /venv /venv
WORKDIR /app
COPY rules_service ./rules_service
COPY migrations ./migrations
COPY payer_rules ./payer_rules
COPY openapi ./openapi
USER 10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["python", "-c", "import httpx; httpx.get('http://127.0.0.1:8000/readyz', timeout=2).raise_for_status()"]
CMD ["rules-service", "serve"]
