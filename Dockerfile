# The order service, and with another command the sandbox. Nothing runs as root.
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

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin rs_order
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    RS_ORDER_HTTP_HOST=0.0.0.0 \
    RS_ORDER_HTTP_PORT=9043
USER 10001
EXPOSE 9043
# Anything but 2xx raises, and so does silence. The image has no curl and needs none.
HEALTHCHECK --interval=5s --timeout=4s --start-period=60s --retries=6 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ['RS_ORDER_HTTP_PORT'] + '/actuator/health', timeout=3)"]
ENTRYPOINT ["rs-order"]
CMD ["serve"]
