# list the recipes
default:
    @just --list

# what CI checks: format, lint, types, tests
check:
    ruff format --check .
    ruff check .
    mypy
    pytest

# format, and fix what lint can fix
fix:
    ruff format .
    ruff check --fix .

# the tests
test:
    pytest

# the tests but for slow ones, in under four minutes
fast:
    pytest -m "not slow"

# the tests, with the lines they do not reach
cov:
    pytest --cov=popi_prompt --cov-report=term-missing

# the main job on the shipped data, offline
demo:
    popi-prompt optimize datasets/tastes.jsonl -o tastes.json
