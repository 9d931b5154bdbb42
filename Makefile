# `make demo` and `make test` each work alone: they make the environment first.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
# The tests start many processes: what one of them has compiled is kept for the others.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: examples demo lab lab-torch test lint smoke fault-test long-test walk-test fuzz lab-test lab-mutants cluster-tools test-cluster clean

demo: $(VENV)/.installed
	$(BIN)/textmill demo

# All that the lab needs; after it no network is needed.
lab: $(VENV)/.lab
	@echo "ready: fill in lab/exercises.py, then $(BIN)/python -m lab.check"
	@echo "the notebook: $(BIN)/jupyter lab lab/word_level_lab.ipynb"

# The lab in PyTorch, too. Its wheel for CPUs, of some 200 MB, comes from an index of its own; without that index PyPI's
# comes, with 3 GB for GPUs.
lab-torch: $(VENV)/.lab
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[lab-torch]' \
		--extra-index-url https://download.pytorch.org/whl/cpu
	@echo "ready: exercise 4 takes a torch.nn.Module; the notebook: $(BIN)/jupyter lab lab/word_level_lab_torch.ipynb"

# The documents as a site, in site/: nothing is fetched. It is strict, which --quiet would switch off.
.PHONY: docs
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	@echo "ready: site/index.html; the search needs a server: $(BIN)/python -m http.server --directory site"

test: $(VENV)/.tested lint
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(PYTEST_FLAGS)

# mypy says "Success" over whatever it finds, so the number of files is compared, too: without the
# links in textmill/ it would be a sixth of them.
lint: $(VENV)/.tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@said=$$($(BIN)/mypy) || { echo "$$said"; exit 1; }; echo "$$said"; \
	files=$$(find textmill model pipeline lab -name '*.py' ! -name 'word_level_lab*.py' ! -name '*.*.py' | wc -l); \
	echo "$$said" | grep -q " $$files source files" || { echo "mypy has to check $$files files"; exit 1; }

# Kills generate, augment and train a hundred times, at random and narrow moments, and resumes them: some 20 to 30
# minutes on 2 cores that do nothing else, so `make test` leaves it out.
fault-test: $(VENV)/.tested
	$(BIN)/python -m pytest -m fault --numprocesses 2

# Whole walks, from texts to an output: the README's example, the demo, each kind of corpus, JAX.
walk-test: $(VENV)/.tested
	$(BIN)/python -m pytest -m walk --numprocesses 2 --dist worksteal

# A short walk on another Python, in an environment of its own: make smoke PYTHON=python3.13
SMOKE := build/smoke-$(notdir $(PYTHON))
smoke:
	$(PYTHON) -m venv $(SMOKE)
	$(SMOKE)/bin/python -m pip install --quiet --constraint constraints.txt .
	$(SMOKE)/bin/python scripts/smoke.py

# The two examples that learn for minutes, in full: eight minutes on 2 cores that do nothing else.
examples: $(VENV)/.tested
	$(BIN)/python examples/dates.py
	$(BIN)/python examples/captions.py

# A million draws where `make test` takes fewer; more trainings and more settings; the long examples in short.
long-test: $(VENV)/.tested
	$(BIN)/python -m pytest -m long

# Inputs made and damaged at random, for FUZZ_MINUTES=10; FUZZ_SEED, FUZZ_CASES and FUZZ_CASE choose.
fuzz: $(VENV)/.tested
	$(BIN)/python -m pytest -m fuzz tests/fuzz

$(VENV)/.installed: setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	touch $@

# The lab as a student does it, in full: some 20 minutes.
lab-test: $(VENV)/.tested
	$(BIN)/python -m pytest -m lab

# Some 1,100 right and wrong variants of the lab's solution, against its checks; it goes on where it ended. MUTANTS
# chooses: MUTANTS="6 'tokenize/*' --seeds 0 1", MUTANTS=--light for those without TensorFlow.
lab-mutants: $(VENV)/.tested
	@mkdir -p build
	$(BIN)/python -m tests.lab.mutants --results build/mutants.jsonl --report build/mutants.md $(MUTANTS)

# The same job on all engines that can be had here, with a table of them at the end. CLUSTER_TESTS="cluster and not
# trial" leaves those out that kill parts of clusters of their own. The longest file begins, so that the other process
# takes all else beside it.
CLUSTER_TESTS ?= cluster
test-cluster: $(VENV)/.cluster
	$(BIN)/python -m pytest -m "$(CLUSTER_TESTS)" -rs --numprocesses 2 --dist loadfile --no-loadscope-reorder

# Prism, built with Go, and Spark, from PyPI and Maven, into a folder outside the repository. What cannot be had here is
# named, and its tests skip.
TOOLS ?= $(or $(TEXTMILL_TOOLS),$(HOME)/.cache/textmill)
cluster-tools: $(VENV)/.installed
	-@test -x $(TOOLS)/bin/prism || GOBIN=$(TOOLS)/bin go install github.com/apache/beam/sdks/v2/go/cmd/prism@v2.77.0
	-@TEXTMILL_TOOLS=$(TOOLS) PYTHON=$(BIN)/python scripts/spark_cluster.sh get

$(VENV)/.cluster: $(VENV)/.tested
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,cluster]'
	touch $@

$(VENV)/.lab: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[lab]'
	touch $@

$(VENV)/.docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

$(VENV)/.tested: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

clean:
	rm -rf $(VENV) build site *.egg-info .pytest_cache .mypy_cache .ruff_cache
