# docker build -t histocodec .
# docker run --rm -v "$PWD:/data" --user "$(id -u):$(id -g)" histocodec encode case.svs
FROM python:3.11-slim AS build
# The index of torch's CPU builds (--build-arg PIP_EXTRA_INDEX_URL=...) keeps gigabytes of CUDA out of the image: of one
# version pip prefers them. Without it torch comes as the default registry has it.
ARG PIP_EXTRA_INDEX_URL=
WORKDIR /build
COPY constraints.txt ./
# torch first, in a layer of its own: it is large, and changes seldom.
RUN python -m venv /opt/histocodec \
    && /opt/histocodec/bin/pip install --no-cache-dir -c constraints.txt torch
COPY . ./
RUN /opt/histocodec/bin/pip install --no-cache-dir -c constraints.txt .

FROM python:3.11-slim
COPY --from=build /opt/histocodec /opt/histocodec
RUN useradd --create-home --uid 10001 histocodec
USER 10001
WORKDIR /data
ENTRYPOINT ["/opt/histocodec/bin/histocodec"]
CMD ["--help"]
