# Builds, runs, tests and installs mod_python; `make help` lists the targets.
#
# PYO3_PYTHON=/usr/bin/python3   the Python to embed; the module belongs to this Python alone
# DOCS_PYTHON=$(PYO3_PYTHON)     what Sphinx runs in, 3.11 or later
# APXS=apxs                      the httpd to build for
# BENCH=--list                   options of the benchmark (tests/bench/README.md)
# JOBS=1                         how many suites of tests run at once (one for each processor)
# PORT=8080                      where `make run` serves; PORT+1 and PORT+2 are two examples'

PYO3_PYTHON ?= /usr/bin/python3
DOCS_PYTHON ?= $(PYO3_PYTHON)
APXS ?= $(or $(shell command -v apxs || command -v apxs2),apxs)
# rustup's place is not on everybody's PATH.
CARGO ?= $(or $(shell command -v cargo),$(wildcard $(HOME)/.cargo/bin/cargo),cargo)
PORT ?= 8080
PROFILE ?= release
MPMS ?= event worker prefork
# How many suites of tests run at once.
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
export PYO3_PYTHON APXS CARGO MAKE_COMMAND

TARGET_DIR = $(or $(CARGO_TARGET_DIR),target)
BUILT = $(TARGET_DIR)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))/libmod_python.so
PYTEST = .venv/bin/python -m pytest tests

say = @printf '==> %s\n'

.PHONY: help run build version test cargo-test pytest other-pythons soak test-chroot test-browser test-apps test-valgrind test-asan lint bench docs install uninstall deb clean packages

help:
	@echo 'make run        build, then serve examples/ on http://127.0.0.1:$(PORT)/ until Ctrl-C'
	@echo 'make build      leave the module in build/mod_python.so'
	@echo 'make test       cargo test, then pytest under $(MPMS)'
	@echo 'make soak       the long versions of tests, for an hour or so'
	@echo 'make test-browser  the pages of examples/ in headless Chromium'
	@echo 'make test-apps  programs that others wrote, more of them than make test has'
	@echo 'make test-chroot  what a newcomer types, in a bare Debian made for it (as root)'
	@echo 'make test-newest-python  all tests in a bare Debian sid, with its Python (as root)'
	@echo 'make test-valgrind  requests to every entrance, with valgrind watching'
	@echo 'make test-asan  the same with AddressSanitizer'
	@echo 'make test-races the same with ThreadSanitizer, under the MPM event'
	@echo 'make fuzz       the parsers under a fuzzer, FUZZ_SECONDS each'
	@echo 'make lint       rustfmt, clippy and ruff'
	@echo 'make audit      the dependencies against the advisory databases (network)'
	@echo 'make bench      compare with a C module, mod_python 3.5 and mod_wsgi'
	@echo 'make docs       the documentation, into build/docs/index.html'
	@echo 'make install    into httpd and Python (DESTDIR= for a staging directory)'
	@echo 'make uninstall  remove it again'
	@echo 'make deb        a Debian package of it, in build/'
	@echo 'make clean      remove what was built'
	@echo 'Variables: PYO3_PYTHON=$(PYO3_PYTHON) APXS=$(APXS) PORT=$(PORT)'

run: build
	$(say) 'Starting httpd'
	@exec env PYTHONPATH=python $(PYO3_PYTHON) -m mod_python serve --listen 127.0.0.1:$(PORT) \
		--define CONNECTION_PORT=$$(($(PORT) + 1)) --define BACKEND_PORT=$$(($(PORT) + 2)) \
		examples/httpd.conf

build: packages
	$(say) 'Compiling the module for $(PYO3_PYTHON) (the first time takes a few minutes)'
	@# As `pip install .` does it, which then finds it done.
	@$(CARGO) rustc --lib --crate-type cdylib --profile $(PROFILE) --locked
	@mkdir -p build
	@# Written aside and renamed: a server that has the old file open keeps it.
	@cp $(BUILT) build/mod_python.so.new && mv build/mod_python.so.new build/mod_python.so
	@$(MAKE) --no-print-directory version
	$(say) 'build/mod_python.so is ready'

# What the package knows about this build; importing it needs this file and nothing else.
version:
	@$(PYO3_PYTHON) python/write_version.py python/mod_python/_version.py --apxs $(APXS) \
		--test-module $(CURDIR)/build/mod_python.so --test-home $(CURDIR)/tests

packages:
	@tools/system-packages build

# All of it; the suites side by side, since a test waits more than it works.
test: test-packages packages .venv/ready
	@tools/side-by-side $(JOBS) build cargo-test
	@tools/side-by-side $(JOBS) $(MPMS:%=suite-%) suite-other-pythons

.PHONY: test-packages
test-packages:
	@tools/system-packages build test

cargo-test: packages
	$(say) 'Testing the Rust code'
	@$(CARGO) test --locked

# Tests that are long, or skipped without MOD_PYTHON_SOAK=1.
SOAK_TESTS = tests/test_stress.py tests/test_request_timeout.py tests/test_recycle.py tests/test_socache.py tests/test_hostile_clients.py \
	tests/test_session_soak.py tests/test_status_kills.py tests/test_hostile.py tests/test_leak.py tests/test_hostile_handlers.py \
	tests/test_restart.py tests/test_lifecycle.py tests/test_import_timeout.py tests/test_timeout_attacks.py
SOAK_SECONDS ?= 300
SOAK = MOD_PYTHON_SOAK=1 MOD_PYTHON_HOSTILE_SECONDS=$(SOAK_SECONDS) MOD_PYTHON_LEAK_REQUESTS=200000
soak: test-packages build .venv/ready
	@failed=; for target in test-browser test-chroot soak-interpreters; do \
		$(MAKE_COMMAND) --no-print-directory $$target || failed="$$failed $$target"; \
	done; \
	for mpm in $(MPMS); do \
		printf '==> Soaking under the MPM %s\n' $$mpm; \
		$(SOAK) .venv/bin/python -m pytest $(SOAK_TESTS) --soak $(SOAK_SECONDS) --mpm $$mpm || failed="$$failed $$mpm"; \
	done; [ -z "$$failed" ] || { printf '==> The soak failed in:%s\n' "$$failed"; exit 1; }

# Eight interpreters on 25 threads for five minutes, with the usual Python and the newest other one.
.PHONY: soak-interpreters
soak-interpreters: build .venv/ready
	$(say) 'Soaking eight interpreters'
	@.venv/bin/python -m pytest -s tests/test_interpreter_soak.py --soak $(SOAK_SECONDS)
	@python=$$(tools/other-pythons | tail -n 1); [ -z "$$python" ] || { \
		printf '==> Soaking eight interpreters of %s\n' "$$python"; \
		PYO3_PYTHON=$$python CARGO_TARGET_DIR=$(TARGET_DIR)/other-python $(CARGO) build --locked --quiet && \
		MOD_PYTHON_SO=$(TARGET_DIR)/other-python/debug/libmod_python.so \
			.venv/bin/python -m pytest -s tests/test_interpreter_soak.py --soak $(SOAK_SECONDS) --python "$$python"; }

# cargo-fuzz's own flags, so that the stable toolchain will do. What a target finds stays in its artifacts.
FUZZ_SECONDS ?= 60
FUZZ_FLAGS = --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
	-Cllvm-args=-sanitizer-coverage-trace-compares -Zsanitizer=address -Ccodegen-units=1
FUZZ_TARGET = $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
.PHONY: fuzz
fuzz:
	$(say) 'Fuzzing for $(FUZZ_SECONDS) s'
	@cd tests/fuzz && RUSTC_BOOTSTRAP=1 RUSTFLAGS="$(FUZZ_FLAGS)" \
		$(CARGO) build --release --locked --target $(FUZZ_TARGET)
	@cd tests/fuzz && for seeds in seeds/*; do \
		name=$${seeds##*/}; mkdir -p corpus/$$name artifacts/$$name; \
		target/$(FUZZ_TARGET)/release/$$name corpus/$$name $$seeds -artifact_prefix=artifacts/$$name/ \
			-max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 || exit 1; \
	done

pytest: build .venv/ready
	@tools/side-by-side $(JOBS) $(MPMS:%=suite-%)

other-pythons: build .venv/ready
	@$(MAKE_COMMAND) --no-print-directory suite-other-pythons

# These two want `build` and `.venv/ready` done, and leave it at that: they run side by side.
.PHONY: $(MPMS:%=suite-%) suite-other-pythons
$(MPMS:%=suite-%): suite-%:
	$(say) 'Testing under the MPM $*'
	@$(PYTEST) --mpm $*

# What depends on the version of Python, with the oldest and the newest other one that is found.
suite-other-pythons:
	@pythons=$$(tools/other-pythons | sed -n '1p;$$p' | uniq); \
	if [ -z "$$pythons" ]; then \
		echo '==> No other Python with a shared libpython was found: only $(PYO3_PYTHON) is tested'; \
	fi; \
	printf '%s' "$$pythons" | while read -r python || [ -n "$$python" ]; do \
		printf '==> Testing with %s\n' "$$python"; \
		PYO3_PYTHON=$$python CARGO_TARGET_DIR=$(TARGET_DIR)/other-python \
			$(CARGO) build --locked --quiet </dev/null || exit 1; \
		MOD_PYTHON_SO=$(TARGET_DIR)/other-python/debug/libmod_python.so \
			$(PYTEST) -m every_python --python "$$python" </dev/null || exit 1; \
	done

.venv/ready: tests/requirements.txt tests/requirements-wsgi.txt tests/requirements-apps.txt
	$(say) 'Installing the test tools into .venv'
	@$(PYO3_PYTHON) -m venv .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt \
		-r tests/requirements-wsgi.txt -r tests/requirements-apps.txt
	@touch $@

# From a clone to a served page, as a newcomer types it; SUITES names the Debians to do it in.
SUITES ?= trixie bookworm
test-chroot:
	@tools/system-packages chroot
	@tools/chroot-test $(SUITES)

# All tests with the Python of Debian sid, under the MPM event.
.PHONY: test-newest-python
test-newest-python:
	@tools/system-packages chroot
	@CHROOT_STEPS=test_suite tools/chroot-test sid

# The pages of examples/ in a real browser.
test-browser: test-packages build .venv/ready
	@tools/system-packages browser
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check \
		-r tests/requirements-browser.txt
	@MOD_PYTHON_BROWSER=1 $(PYTEST)/test_browser.py --mpm event

# The requests of tests/memcheck to one process of httpd that is watched. MPM= and PYO3_PYTHON= choose
# what serves them, MEMCHECK= has more options (--keep, --rounds).
MPM ?= prefork
OTHER_PYTHON = $(filter-out /usr/bin/python3,$(PYO3_PYTHON))
# A module for another Python is built aside, and the usual one stays as it is.
OTHER_TARGET = $(TARGET_DIR)$(if $(OTHER_PYTHON),/other-python)
WATCH = cd tests && ../.venv/bin/python -m memcheck
WATCHED = --mpm $(MPM) $(if $(OTHER_PYTHON),--python $(OTHER_PYTHON)) $(MEMCHECK)

# More programs and extension modules than `make test` runs, in an environment of their own.
test-apps: test-packages build
	@$(PYO3_PYTHON) -m venv .venv-apps
	@.venv-apps/bin/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt \
		-r tests/requirements-wsgi.txt -r tests/requirements-apps.txt -r tests/requirements-more-apps.txt
	@MOD_PYTHON_APPS=1 .venv-apps/bin/python -m pytest tests/test_applications.py tests/test_roundup.py \
		tests/test_trac.py tests/test_cherrypy.py tests/test_paste.py tests/test_wsgi_frameworks.py

# Every wrong use of memory below the module, and leaks that grow.
test-valgrind: test-packages $(if $(OTHER_PYTHON),build-other,build) .venv/ready
	@tools/system-packages valgrind
	$(say) 'Watching the use of memory under valgrind ($(MPM), $(PYO3_PYTHON))'
	@$(if $(OTHER_PYTHON),export MOD_PYTHON_SO=$(abspath $(OTHER_TARGET))/debug/libmod_python.so; )\
		$(WATCH) valgrind $(WATCHED)

.PHONY: build-other
build-other:
	$(say) 'Compiling the module for $(PYO3_PYTHON)'
	@CARGO_TARGET_DIR=$(OTHER_TARGET) $(CARGO) build --locked

# The same requests to a module built with AddressSanitizer, by the stable toolchain; its runtime is
# clang's, the only one that can be loaded before httpd.
ASAN_FLAGS = -Zsanitizer=address -Zexternal-clangrt -Clinker=clang -Clink-arg=-fsanitize=address \
	-Clink-arg=-shared-libasan
test-asan: test-packages version .venv/ready
	@tools/system-packages asan
	$(say) 'Compiling the module with AddressSanitizer'
	@RUSTC_BOOTSTRAP=1 RUSTFLAGS="$(ASAN_FLAGS)" CARGO_TARGET_DIR=$(OTHER_TARGET)/asan \
		$(CARGO) build --locked --target $(FUZZ_TARGET)
	$(say) 'Watching the use of memory with AddressSanitizer ($(MPM), $(PYO3_PYTHON))'
	@export MOD_PYTHON_SO=$(abspath $(OTHER_TARGET))/asan/$(FUZZ_TARGET)/debug/libmod_python.so; \
		$(WATCH) asan $(WATCHED)

# And with ThreadSanitizer, under the MPM event unless another is chosen: races in the module's own data.
# The runtime is gcc's, as clang's cannot be loaded before httpd; so it is not linked here.
TSAN_FLAGS = -Zsanitizer=thread -Zexternal-clangrt -Cunsafe-allow-abi-mismatch=sanitizer
.PHONY: test-races
test-races: MPM = event
test-races: test-packages version .venv/ready
	$(say) 'Compiling the module with ThreadSanitizer'
	@RUSTC_BOOTSTRAP=1 RUSTFLAGS="$(TSAN_FLAGS)" \
		CARGO_TARGET_DIR=$(OTHER_TARGET)/tsan $(CARGO) build --locked --target $(FUZZ_TARGET)
	$(say) 'Looking for races ($(MPM), $(PYO3_PYTHON))'
	@export MOD_PYTHON_SO=$(abspath $(OTHER_TARGET))/tsan/$(FUZZ_TARGET)/debug/libmod_python.so; \
		$(WATCH) tsan $(WATCHED)

lint: packages .venv/ready
	$(say) 'rustfmt'
	@$(CARGO) fmt --check
	$(say) 'clippy'
	@$(CARGO) clippy --locked --all-targets -- -D warnings
	$(say) 'ruff'
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .

# What is known against the dependencies: licences, sources and doubles, and, from the network, the
# advisories of RustSec and PyPI.
.PHONY: audit
audit: .audit-venv/ready
	$(say) 'What the module is built from (cargo install cargo-deny)'
	@$(CARGO) deny check
	$(say) 'What the tests and the documentation need'
	@.audit-venv/bin/pip-audit --no-deps $(patsubst %,-r %,$(wildcard tests/requirements*.txt) docs/requirements.txt)

.audit-venv/ready:
	@$(PYO3_PYTHON) -m venv .audit-venv
	@.audit-venv/bin/python -m pip install --quiet --disable-pip-version-check pip-audit
	@touch $@

bench: build
	@tools/system-packages build bench
	$(say) 'Measuring'
	@$(PYO3_PYTHON) tests/bench/run.py $(BENCH)

docs: .docs-venv/ready version
	$(say) 'Writing the documentation'
	@.docs-venv/bin/sphinx-build -W --keep-going -q -b html docs build/docs
	$(say) 'build/docs/index.html is ready'

.docs-venv/ready: docs/requirements.txt
	$(say) 'Installing Sphinx into .docs-venv'
	@$(DOCS_PYTHON) -m venv .docs-venv
	@.docs-venv/bin/python -m pip install --quiet --disable-pip-version-check -r docs/requirements.txt
	@touch $@

install:
	$(say) 'Installing'
	@tools/install install

deb: build
	@tools/system-packages build deb
	$(say) 'Making a Debian package'
	@tools/deb

uninstall:
	$(say) 'Uninstalling'
	@tools/install uninstall

clean:
	$(say) 'Removing what was built'
	@rm -rf build .venv .venv-apps .docs-venv $(TARGET_DIR) python/mod_python/_version.py
	@find python tests examples -name __pycache__ -prune -exec rm -rf {} +
