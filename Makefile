# recab: every command a person types. Each target sets up what it needs.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PY := .venv/bin/python
RUN := "$(PY)" -m recab_helpers
.PHONY: help setup install lock report train simulate analyze look plan designs calibrate lab server serve test test-all lint docs bench audit clean

# Values reach the program as they were typed: neither make nor a shell reads them.
VALUES := LOG USERS PARAMS SET FRESH V
export RECAB_LOG = $(value LOG)
export RECAB_USERS = $(value USERS)
export RECAB_PARAMS = $(value PARAMS)
export RECAB_SET = $(value SET)
export RECAB_FRESH = $(value FRESH)
export RECAB_V = $(value V)
unexport $(VALUES)
unexport PYTHONPATH PYTHONHOME PYTHONOPTIMIZE PYTHONWARNINGS PYTHONSTARTUP PYTHONDONTWRITEBYTECODE JUPYTER_PATH # what other Pythons were told

# Refused: values where no door uses them, and parameters outside SET, such as `make report n_users=500`.
GIVEN := $(foreach v,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(v)))),$(v)))
WRONG := $(filter $(addsuffix %,a b c d e f g h i j k l m n o p q r s t u v w x y z),$(GIVEN)) $(if \
  $(filter report train simulate analyze look plan designs calibrate serve,$(MAKECMDGOALS)),,$(filter $(VALUES),$(GIVEN)))
ifeq ($(MAKELEVEL),0)
$(foreach v,$(WRONG),$(error $(strip make $(MAKECMDGOALS)) does not use $(v). A stage takes $(VALUES), \
  and parameters go into SET: make report SET="seed=7"))
endif

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo 'Parameters: make report PARAMS=my.yaml SET="n_users=20000 seed=7"'
	@echo 'FRESH=1 reuses no stage of a report that died; V=1 shows the traceback of an error.'

report: setup ## train, simulate, analyze; write reports/ab_report.html and .json
	@$(RUN) report

train: setup ## fit, log and register the models
	@$(RUN) train

simulate: setup ## serve the newest trained models to simulated users
	@$(RUN) simulate

analyze: setup ## analyze the newest simulation, or a real log: LOG=impressions.parquet
	@$(RUN) analyze

look: setup ## what recab understands of a file: LOG=impressions.csv, or USERS=users.csv
	@$(RUN) look

plan: setup ## before a test: users, days and the smallest lift it finds; a pilot log: LOG=pilot.parquet
	@$(RUN) plan

designs: setup ## how to test two models: every design graded on the exact truth; a pilot log: LOG=pilot.parquet
	@$(RUN) designs

calibrate: setup ## grade the analysis on thousands of simulated tests
	@$(RUN) calibrate

lab: setup ## open the notebooks in JupyterLab
	@$(RUN) lab

server: setup ## browse runs and models at http://127.0.0.1:8080 (Ctrl-C stops it)
	@$(RUN) server

serve: setup ## serve the models of the newest training over HTTP on this machine (Ctrl-C stops them)
	@$(RUN) serve

test: setup ## the tests (minutes)
	@$(PY) -m pytest -q -n 2 --dist loadgroup

test-all: setup ## the tests and the slow suites
	@$(PY) -m pytest -q -n 2 --dist loadgroup -m "not slow"
	@$(PY) -m pytest -q -n 2 --dist loadgroup -m slow

lint: setup ## code style, types, and notebooks without outputs
	@$(PY) -m ruff check . && $(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(PY) -m nbstripout --verify --keep-id --extra-keys "metadata.papermill cell.metadata.papermill metadata.language_info.version" notebooks/*.ipynb

docs: setup ## the guides and the reference, in build/docs
	@$(PY) docs/build.py

bench: setup ## time and memory of the main job and its hot paths
	@$(PY) -m tests.bench

audit: setup ## known security holes of the locked packages, by pip-audit
	@said=$$($(PY) -m uv tool run --quiet pip-audit --strict --disable-pip -r requirements.lock 2>&1); code=$$?; echo "$$said"; \
	case "$$code:$$said" in 0:*) ;; *"Found "*) exit 1;; \
	  *) echo "make audit could not ask: nothing is known about the packages of requirements.lock." >&2; exit 3;; esac

clean: ## remove the environment and caches; never reports or the MLflow store
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .hypothesis build recab.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Set-up runs once, and again only when the lock or the place of the folder changes.
setup:
	@{ pwd; cat requirements.lock; } | cmp -s - .venv/ready || $(MAKE) --no-print-directory install

install:
	@for p in $(PYTHON) python3 python3.11 python3.12 python3.13 python3.14; do \
	  if "$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; then python=$$p; break; fi; \
	done; \
	if [ -z "$$python" ]; then echo "No Python 3.11 to 3.14 found; install one, or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; fi; \
	echo "Setting up .venv with $$("$$python" --version) (once)"; \
	"$$python" -m venv --clear .venv
	@$(PY) -m pip install --quiet --disable-pip-version-check "$$(grep -o '^uv==[^ ]*' requirements.lock)"
	@$(PY) -m uv pip install --quiet --python $(PY) --require-hashes -r requirements.lock
	@$(PY) -m uv pip install --quiet --python $(PY) --no-deps --editable .
	@{ pwd; cat requirements.lock; } > .venv/ready

# For maintainers: resolve pyproject.toml anew into the one lock; Spark is an extra that few need, and stays out of it.
lock: setup
	@$(PY) -m uv pip compile --quiet --universal --python-version 3.11 --upgrade --extra dev --generate-hashes --no-annotate --no-header pyproject.toml -o requirements.lock
