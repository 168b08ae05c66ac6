# `make demo` and `make test` are all that a visitor needs; both set up what is missing.
.PHONY: demo test check setup bench

OUT ?= .out/demo

demo: setup
	cargo run --release --features cli -- demo --out $(OUT)

# The suite three times over the ops: as shipped, with checked shaders, and what a GPU gets under WebGPU's default limits.
test: setup
	cargo test --all-features
	DESIREPATH_CHECKED=1 cargo test --all-features --test ops --test runtime
	DESIREPATH_LIMITS=webgpu DESIREPATH_VARIANTS=gpu cargo test --all-features --test ops --test runtime

check:
	cargo fmt --check
	cargo clippy --all-features --all-targets -- -D warnings
	cargo clippy --no-default-features --lib -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --all-features --no-deps

setup:
	@sh tools/setup.sh

bench:
	cargo run --release --features cli -- bench
