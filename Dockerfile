# The operator's image: Python, its locked dependencies, and the package. No shell, no package manager, no compiler.
# Both stages are glibc (google-re2 has no wheels for musl) and carry the same Python, 3.13 of Debian 13.

FROM python:3.13-slim-trixie AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src

# What it depends on, exactly as locked. This layer changes only with the lock. For `spec.provider` aws, azure and gcp:
# --build-arg LOCK=clouds
ARG LOCK=operator
COPY requirements/operator.txt requirements/clouds.txt requirements/
RUN python -m pip install --require-hashes --only-binary=:all: --no-compile --target=/site --requirement=requirements/${LOCK}.txt

# What builds the wheel, locked too; it stays in this stage.
COPY requirements/build.txt requirements/
RUN python -m pip install --require-hashes --only-binary=:all: --requirement=requirements/build.txt

COPY pyproject.toml README.md LICENSE ./
COPY operator/ operator/
RUN python -m pip wheel --no-build-isolation --no-deps --wheel-dir=/wheel . \
 && python -m pip install --no-index --no-deps --no-compile --target=/site /wheel/*.whl \
 && rm -rf /site/bin \
 && python -m compileall -q --invalidation-mode=unchecked-hash /site

# Python's bytecode is made above, since nothing can be written below.
FROM gcr.io/distroless/python3-debian13:nonroot
COPY --from=build /site /site
ENV PYTHONPATH=/site PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65534:65534
WORKDIR /tmp
# Artifacts, metrics, health.
EXPOSE 9090 8080 9440
ENTRYPOINT ["/usr/bin/python3", "-P", "-m", "ocisource"]
CMD ["run"]
