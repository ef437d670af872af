# One image for both programs: `docker build -t postern/postern:0.1.0 .`
# The last stage has the two programs, the libraries they name, and the certificates of public authorities; no shell.

# As in rust-toolchain.toml, which tests/run compares.
ARG RUST_VERSION=1.95.0

FROM rust:${RUST_VERSION}-trixie AS build
ARG RUST_VERSION
# Of the toolchain in rust-toolchain.toml only what compiles; rustfmt and clippy would be fetched.
ENV RUSTUP_TOOLCHAIN=${RUST_VERSION}
WORKDIR /source
COPY . .
# The caches outlive a build; the tree is assembled as the end-to-end tests do.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked --package postern-server --package postern-operator && \
    mkdir /programs && \
    cp target/release/postern target/release/postern-operator /programs/ && \
    strip --strip-debug /programs/* && \
    tests/cluster/image /tree /programs/postern /programs/postern-operator

FROM scratch
COPY --from=build /tree /
USER 65532:65532
EXPOSE 2525 9090
ENTRYPOINT ["/postern"]
