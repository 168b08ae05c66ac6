# `make demo` and `make test` are all that a visitor needs; both set up what is missing.
.PHONY: demo test check setup bench peers experiments reproduce

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

# desirepath, burn and PyTorch on the same shapes, one after the other; see docs/benchmarks.md. PYTHON names one that has
# torch (without it PyTorch is left out), NOTE is printed and kept with the results, PEERS takes --quick or --filter.
PYTHON ?= python3
# BURN=--features=spirv is burn's faster way, for GPUs.
NOTE ?=
PEERS ?=
BURN ?=

peers: setup
	cargo build --release --features cli
	cargo build --release --locked $(BURN) --manifest-path benches/peers/Cargo.toml --target-dir benches/peers/target
	$(PYTHON) benches/peers/compare.py --note "$(NOTE)" $(PEERS)

# A small experiment on a generated city: two seeds of three models in a few minutes.
experiments: setup
	cargo run --release --features cli -- experiment experiments/smoke.toml --seeds 2

# One published row from nothing: `make reproduce DATA=ml-1m PRESET=sasrec LOGS=folder/with/the/logs`; docs/datasets.md says
# where the logs come from. PRESET is the name of a run in experiments/$(DATA).toml; SEEDS has three by default.
DATA ?= ml-100k
PRESET ?= desirepath
SEEDS ?= 3
LOGS ?= ../shared/data
LOG-ml-100k = ml-100k.inter
LOG-ml-1m = ml-1m.inter --min-user 5 --min-item 5
LOG-beauty = beauty.csv.gz
LOG-nyc = nyc-checkins.csv.gz

reproduce: setup
	test -d .data/$(DATA) || cargo run --release --features cli -- prepare $(LOGS)/$(LOG-$(DATA)) --out .data/$(DATA)
	cargo run --release --features cli -- experiment experiments/$(DATA).toml --only "$(PRESET)" --seeds $(SEEDS)
