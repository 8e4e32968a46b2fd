# The image holds one static binary and nothing else.
#
#   make build
#   docker build -t haldane:dev .        # or: podman build -t haldane:dev .
#
# On another machine than x86_64 Linux: --build-arg BINARY=target/TRIPLE/release/haldane
# Without Docker: `make image` packs the same layout as an archive.
FROM scratch
ARG BINARY=target/x86_64-unknown-linux-gnu/release/haldane
COPY ${BINARY} /haldane
USER 65532:65532
ENTRYPOINT ["/haldane"]
