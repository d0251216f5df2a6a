# Two commands for a fresh machine: `make demo` fits a model to real images; `make test` runs every check.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
# One torch thread for each test worker: more workers than cores slow each other down by 5 to 30 times.
TEST := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

.PHONY: demo test check lint types format clean

demo: $(INSTALLED)
	$(BIN)/latentia fit vae --data digits --latent-dim 8 --layers 2 --lr 0.002 --epochs 100 --out runs/demo --overwrite
	@echo "Look at runs/demo/samples.png and runs/demo/report.html"

test: lint types
	$(TEST)

check: lint
	$(TEST) -m "not slow"

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/basedpyright

# Formatting comes first and last: what ruff cannot mend is told, and stops neither.
format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix . ; told=$$? ; $(BIN)/ruff format . && exit $$told

# torch goes first and by itself, so that no other package's wish chooses its build.
$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	touch $@

clean:
	rm -rf .venv .pytest_cache .ruff_cache build *.egg-info
