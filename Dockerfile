# Two images: the order service (the default), and the simulated platform (target "sandbox").
# Neither runs as root, and neither holds the archive of the demo (see .dockerignore).
# Same Python as the one requirements/*.txt were compiled with.
FROM python:3.11-slim AS build
WORKDIR /src
RUN python -m venv --without-pip /app
# Dependencies first: their layer is kept until the pinned versions change.
COPY requirements/requirements.txt requirements/build.txt requirements/
RUN python -m pip --python /app/bin/python install --no-cache-dir --require-hashes --no-deps \
        -r requirements/requirements.txt \
    && python -m pip install --no-cache-dir --require-hashes --no-deps -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY rs_order rs_order
RUN python -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
    && python -m pip --python /app/bin/python install --no-cache-dir --no-deps /wheels/*.whl

FROM build AS build-sandbox
COPY requirements/sandbox.txt requirements/
RUN python -m pip --python /app/bin/python install --no-cache-dir --require-hashes --no-deps \
        -r requirements/sandbox.txt

# "--build-arg TRACES=true" adds what RS_ORDER_TRACES=true imports.
FROM build AS build-service
ARG TRACES=false
COPY requirements/traces.txt requirements/
RUN if [ "$TRACES" = true ]; then \
        python -m pip --python /app/bin/python install --no-cache-dir --require-hashes --no-deps \
            -r requirements/traces.txt; \
    fi

FROM python:3.11-slim AS base
RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin rs_order
ENV PATH=/app/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1

FROM base AS sandbox
COPY --from=build-sandbox /app /app
USER 10001
EXPOSE 9100
ENTRYPOINT ["rs-order"]
CMD ["sandbox", "--archive", "/archive", "--host", "0.0.0.0"]

FROM base AS service
COPY --from=build-service /app /app
ENV RS_ORDER_HTTP_HOST=0.0.0.0 \
    RS_ORDER_HTTP_PORT=9043
USER 10001
EXPOSE 9043
# Liveness: only a process that hangs is unhealthy, because a restart repairs no broker and no database.
# Anything but 2xx raises, and so does silence. The image has no curl and needs none.
HEALTHCHECK --interval=5s --timeout=4s --start-period=60s --retries=6 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['RS_ORDER_HTTP_PORT'] + '/actuator/health/liveness', timeout=3)"]
ENTRYPOINT ["rs-order"]
CMD ["serve"]
