# The bot, without PyTorch: docker build --file deploy/bot.Dockerfile --tag tempera-bot .
FROM python:3.13-slim-trixie AS build
RUN python -m venv /opt/tempera
WORKDIR /source
COPY deploy/locks/bot.txt deploy/locks/
RUN /opt/tempera/bin/pip install --no-cache-dir --require-hashes --no-deps --requirement deploy/locks/bot.txt
COPY . .
RUN /opt/tempera/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.13-slim-trixie
COPY --from=build /opt/tempera /opt/tempera
# For backups of the database.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends postgresql-client && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --create-home --home-dir /data tempera
USER 10001
WORKDIR /data
ENV HOME=/data PATH=/opt/tempera/bin:$PATH TEMPERA_WEB__HOST=0.0.0.0
VOLUME /data
EXPOSE 8080
ENTRYPOINT ["tempera"]
CMD ["run", "--no-models"]
