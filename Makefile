# SPDX-License-Identifier: Apache-2.0
# Short names for the CMake presets. `make run` and `make test` install what is missing first.
.DEFAULT_GOAL := all
FUZZ_SECONDS ?= 60
PREFIX ?= /usr/local
# As typed: a dollar sign in it means nothing to make.
override PROMPT := $(value PROMPT)
export PROMPT

.PHONY: all build configure deps deps-test run model demo test bench debug asan tsan fuzz install clean help

all: build

configure:
	@command -v cmake >/dev/null && command -v ninja >/dev/null || { echo "socle: cmake and ninja are needed: scripts/install.sh installs them" >&2; exit 1; }
	@test -f build/build.ninja || cmake --preset release

build: configure ## build/socle and the libraries (Release)
	@cmake --build build

deps:
	@scripts/install.sh

deps-test:
	@scripts/install.sh test

model: ## fetch the default model
	@scripts/fetch-model.sh

run: deps ## talk to the default model; PROMPT="..." answers once
	@$(MAKE) --no-print-directory build >&2
	@scripts/run.sh

demo: deps ## a model's whole life in a quarter of an hour: build/demo/report.html
	@$(MAKE) --no-print-directory build >&2
	@scripts/demo.sh

test: deps-test ## the whole test suite
	@scripts/test.sh release

bench: configure ## speed of the kernels and of the default model, against the machine's limits
	@cmake -DSC_BENCH=ON build >/dev/null
	@cmake --build build --target bench
	@build/bench/kernels --best
	@python3 bench/model.py "$$(scripts/fetch-model.sh)"

debug asan tsan: deps-test ## the test suite of that build
	@scripts/test.sh $@

fuzz: ## every fuzz target for FUZZ_SECONDS seconds
	@scripts/install.sh optional
	@scripts/fuzz.sh $(FUZZ_SECONDS)

install: build ## into PREFIX (/usr/local)
	@cmake --install build --prefix "$(PREFIX)"

clean:
	rm -rf build build-debug build-asan build-tsan build-fuzz

help: ## this list
	@awk -F ':.*## ' '/^[a-z][a-z ]*:.*## /{printf "make %-18s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
