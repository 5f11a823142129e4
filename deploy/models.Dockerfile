# The model server: docker build --file deploy/models.Dockerfile --tag tempera-models .
# On processors without a card, --build-arg TORCH_INDEX=… with the address of PyTorch's index for processors saves gigabytes.
FROM python:3.13-slim-trixie AS build
# --build-arg CLUSTER=yes adds Ray, which ray-service.yaml needs.
ARG TORCH_INDEX=
ARG CLUSTER=
RUN python -m venv /opt/tempera
WORKDIR /source
COPY deploy/locks/bot.txt deploy/locks/models.txt deploy/locks/cluster.txt deploy/locks/
RUN /opt/tempera/bin/pip install --no-cache-dir --require-hashes --no-deps \
    --requirement deploy/locks/bot.txt --requirement deploy/locks/models.txt \
    ${CLUSTER:+--requirement deploy/locks/cluster.txt}
COPY pyproject.toml .
RUN /opt/tempera/bin/pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} \
    "$(sed -n 's/^ *"\(torch[^"]*\)".*/\1/p' pyproject.toml)"
COPY . .
RUN /opt/tempera/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.13-slim-trixie AS cuda
COPY --from=build /opt/tempera /opt/tempera
RUN useradd --system --uid 10001 --create-home --home-dir /data tempera
USER 10001
WORKDIR /data
ENV HOME=/data PATH=/opt/tempera/bin:$PATH
VOLUME /data
EXPOSE 8400
ENTRYPOINT ["tempera-models"]
CMD ["serve", "--host", "0.0.0.0", "--catalogue", "gpu"]

# The language model's step is compiled for the processor at the first start.
FROM cuda AS cpu
USER 0
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
USER 10001
CMD ["serve", "--host", "0.0.0.0"]
