# Verbs over Meson. `make help` lists them. CC and JOBS are respected; a folder keeps the compiler it was made with.
CC ?= cc
export CC
COMPILE = tools/build
SAN = -Dfault=true -Dbenchmarks=false -Db_lundef=false -Doptimization=1
SECONDS = 60

all: ## build the program: build/walbrook
	@$(COMPILE) build -Dbuildtype=release walbrook

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{printf "%-16s %s\n", $$1, $$2}'

check: ## unit, golden, conformance, fuzz corpora, lint: no server, no root, under a minute
	@$(COMPILE) build -Dbuildtype=release
	@meson test -C build --no-rebuild --print-errorlogs
	@tools/lint

lint: ## the rules of the source tree
	@tools/lint

test: ## everything, real servers included: ./test
	@./test

asan: ## unit tests with AddressSanitizer and UBSan, after their canaries: build-asan/
	@$(COMPILE) build-asan $(SAN) -Db_sanitize=address,undefined
	@tests/canary/run asan ubsan
	@ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
		meson test -C build-asan --no-rebuild --print-errorlogs --timeout-multiplier 4

tsan: ## unit tests with ThreadSanitizer, after its canary: build-tsan/
	@$(COMPILE) build-tsan $(SAN) -Db_sanitize=thread
	@tests/canary/run tsan
	@TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1 \
		meson test -C build-tsan --no-rebuild --print-errorlogs --timeout-multiplier 4

fuzz: ## fuzz one decoder or, without T, each: make fuzz T=wire SECONDS=60
	@CC=clang $(COMPILE) build-fuzz $(SAN) -Dfuzz=true -Db_sanitize=address,undefined
	@tools/fuzz build-fuzz $(SECONDS) $(T)

bench: ## measure, each figure beside a peer or the machine's own ceiling: make bench B="latency memory"
	@$(COMPILE) build -Dbuildtype=release
	@BUILD=build bench/run $(B)

chaos: ## kill -9 at random under load, 200 times, with a ledger; then each fault point; then Kafka's broker too: make chaos KILLS=200
	@$(COMPILE) build-fault -Dfault=true
	@tests/chaos/run --kills $(or $(KILLS),200)
	@tests/chaos/run --sweep
	@$(COMPILE) build -Dbuildtype=release walbrook
	@WB_KILLS=$(or $(KILLS),100) /usr/bin/python3 -m pytest -q tests/e2e/test_kafka.py tests/e2e/test_kafka_exactly_once.py -k kill_9

docs: all ## write docs/reference again from the option tables
	@mkdir -p docs/reference
	@build/walbrook help --markdown >docs/reference/options.md.new
	@mv docs/reference/options.md.new docs/reference/options.md

install: ## install the program, the library and its headers; DESTDIR is respected
	@$(COMPILE) build -Dbuildtype=release
	@meson install -C build --no-rebuild

clean: ## remove what was built
	@rm -rf build build-*

.DEFAULT_GOAL := all
.PHONY: all help check lint test asan tsan fuzz bench chaos docs install clean
