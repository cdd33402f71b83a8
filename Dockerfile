# docker build -t histocodec .
# docker run --rm -v "$PWD:/data" --user "$(id -u):$(id -g)" histocodec encode case.svs
FROM python:3.11-slim AS build
WORKDIR /build
COPY . ./
RUN python -m venv /opt/histocodec && /opt/histocodec/bin/pip install --no-cache-dir -c constraints.txt .

FROM python:3.11-slim AS command
COPY --from=build /opt/histocodec /opt/histocodec
RUN useradd --create-home --uid 10001 histocodec
USER 10001
WORKDIR /data
ENTRYPOINT ["/opt/histocodec/bin/histocodec"]
CMD ["--help"]

# docker build -t histocodec-archive --target archive .
# docker run --rm --stop-timeout 60 -v /slides:/slides:ro -v /archive:/archive histocodec-archive --jobs 4
FROM command AS archive
ENTRYPOINT ["/opt/histocodec/bin/histocodec", "archive", "/slides", "--to", "/archive", "--recursive"]
CMD []

FROM command
