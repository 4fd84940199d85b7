# The image of the chart: Python, the packages that the lock names, and netadmit.
# The Python that the tests run with.
ARG PYTHON=python:3.11-slim-bookworm

# checkov:skip=CKV_DOCKER_7:the tag is the argument's, which checkov does not look up
# hadolint ignore=DL3006
FROM ${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
RUN python -m venv --without-pip /opt/netadmit
# Only what a lock pins by hash, and only wheels: nothing that is downloaded is run here.
COPY requirements-image.lock ./
RUN python -m pip --python /opt/netadmit/bin/python install --no-compile --only-binary=:all: --require-hashes \
      -r requirements-image.lock \
    # The asynchronous twin of kubernetes' client, a third of the image's packages, which nobody imports.
    && rm -r /opt/netadmit/lib/python3.11/site-packages/kubernetes/aio
# Copied, not built: a build backend would be one more download. Compiled here, as the image is read-only where it runs.
COPY webhook /opt/netadmit/lib/python3.11/site-packages/webhook
COPY certs /opt/netadmit/lib/python3.11/site-packages/certs
RUN printf '#!/opt/netadmit/bin/python\nimport sys\n\nfrom webhook.cli import main\n\nsys.exit(main())\n' \
      > /opt/netadmit/bin/netadmit \
    && chmod 755 /opt/netadmit/bin/netadmit \
    && python -m compileall -q --invalidation-mode unchecked-hash /opt/netadmit/lib

# hadolint ignore=DL3006
FROM ${PYTHON}
LABEL org.opencontainers.image.title="netadmit" \
      org.opencontainers.image.description="Says at kubectl apply what a NetworkPolicy or a Service really does" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/netadmit /opt/netadmit
ENV PATH=/opt/netadmit/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# A number: Kubernetes can only tell of a number that it is not root's.
USER 65532:65532
WORKDIR /tmp
EXPOSE 8443 8080
# For Docker and Podman; Kubernetes has probes of its own, and does not look at this.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["netadmit", "healthz"]
ENTRYPOINT ["netadmit"]
CMD ["serve"]
