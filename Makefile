# `make run` and `make test` do all their own set-up: Rust, a C compiler, make and python3 with
# pip are enough. CARGO_TARGET_DIR is respected.

.PHONY: run test prove verify bench setup

run: ## starts Ledgerline with servers of its own, data in .ledgerline
	@scripts/setup servers
	cargo run --release -- up

test: ## every test, on real servers
	@scripts/setup tests
	cargo test --workspace --no-fail-fast --features failpoints

prove: ## every fault, hundreds of times, in release (hours; SHARE=10 for a tenth): docs/guides/proof.md
	@scripts/setup servers tests
	@scripts/prove

verify: export PATH := $(CURDIR)/.tools/bin:$(PATH)
verify: ## what has no running server: format, lints, licences, crate edges, docs
	@scripts/setup deny
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo deny check bans licenses sources
	scripts/check-crate-edges
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --workspace --no-deps

bench: ## the figures of README, each beside its ceiling
	@scripts/setup servers
	cargo run --release -- bench all

setup: ## only the set-up
	@scripts/setup servers tests
