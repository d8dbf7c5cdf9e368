"""The package as a whole: public names, what importing loads, who may import whom."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import popi_prompt

ROOT = Path(popi_prompt.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

# Earlier ones never import later ones; a drawer's modules may import each other.
ORDER = [
    "errors",
    "schema",
    "fields",
    "records",
    "files",
    "lock",
    "json_record",
    "lines",
    "named",
    "dataset",
    "validation",
    "split",
    "split_files",
    "dataset_stats",
    "drawing",
    "anonymise",
    "importers",
    "summaries",
    "user_text",
    "prompts",
    "evidence",
    "portrait",
    "quotation",
    "proposals",
    "ngrams",
    "bank",
    "events",
    "models",
    "candidate",
    "menu_record",
    "starting_points",
    "guard",
    "inference",
    "generator",
    "scorers",
    "rewards",
    "evaluation",
    "intervals",
    "power",
    "leaks",
    "dedupe",
    "rows",
    "report",
    "matrix",
    "plots",
    "page",
    "retrieval",
    "contexts",
    "comparison",
    "transfer",
    "optimizers",
    "shipped",
    "origin",
    "program_record",
    "program",
    "front",
    "provenance",
    "seen",
    "inferring",
    "settings",
    "search",
    "budget",
    "folds",
    "optimized",
    "runs",
    "workflow",
    "bench",
    "finetune",
    "noise",
    "headroom",
    "verdict",
    "estimate",
    "cli",
]
OUTSIDE = {"__init__", "testing", "stub_server", "stub_answers"}

# Third parties and the only places that import them.
PLACES = {
    "litellm": ("models/",),
    "llama_cpp": ("models/llama_context.py",),
    "openai": ("models/openai_client.py", "finetune/providers/openai.py"),
    "httpx": ("finetune/providers/",),
    "filelock": (
        *("lock.py", "finetune/job_folder.py", "finetune/samples_file.py", "runs/folder.py"),
    ),
    "tenacity": ("models/transport.py", "finetune/providers/rest.py"),
    "aiolimiter": ("models/transport.py",),
    "aiohttp": ("stub_server.py",),
    "jinja2": ("models/",),
    "optuna": ("optimizers/", "runs/trials.py"),
    "dspy": ("inference.py", "models/dspy_engine.py", "optimizers/"),
    "click": ("cli/",),
    "rich": ("cli/",),
    "pyarrow": ("importers/tables.py",),
    "datasets": ("importers/tables.py",),
    "numpy": ("",),
}
HEAVY = ("dspy", "litellm", "llama_cpp", "optuna", "numpy")


def name_of(module: Path) -> str:
    return module.relative_to(ROOT).as_posix()


def drawer(module: Path) -> str:
    """The place in the order: the folder, or the module at the top."""
    return module.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(module: Path) -> Iterator[str]:
    """Modules that are imported anywhere in a file, but for type checking only."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            skipped.update(id(inner) for each in node.body for inner in ast.walk(each))
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(module)} has a relative import"
            assert node.module is not None
            yield node.module
            if node.module == "popi_prompt":
                yield from (f"popi_prompt.{alias.name}" for alias in node.names)


def own(module: Path) -> list[str]:
    """The drawers of ours that a module imports."""
    found = [name.split(".") for name in imports(module)]
    return [parts[1] for parts in found if parts[0] == "popi_prompt" and len(parts) > 1]


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


def test_all_public_names_resolve() -> None:
    for name in popi_prompt.__all__:
        assert getattr(popi_prompt, name) is not None
    assert sorted(popi_prompt.__all__) == popi_prompt.__all__
    assert len(set(popi_prompt.__all__)) == len(popi_prompt.__all__)


def test_what_is_lazy_is_what_is_public() -> None:
    assert set(popi_prompt._HOMES) == set(popi_prompt.__all__)
    assert set(popi_prompt.__all__) <= set(dir(popi_prompt))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        popi_prompt.nonsense  # noqa: B018


def test_the_types_are_shipped() -> None:
    assert (ROOT / "py.typed").is_file()


@pytest.mark.parametrize(
    "code",
    [
        "import popi_prompt",
        "import popi_prompt; popi_prompt.User; popi_prompt.load; popi_prompt.load_users",
        "import popi_prompt.testing",
        "import popi_prompt.errors, popi_prompt.prompts, popi_prompt.models.door",
        "import popi_prompt.models.cache, popi_prompt.models.trace",
    ],
)
def test_importing_loads_nothing_heavy(code: str) -> None:
    shown = f"{code}\nimport sys, json\nprint(json.dumps([m for m in {HEAVY} if m in sys.modules]))"
    assert json.loads(run(shown)) == []


COMMANDS = ["", "check", "optimize", "evaluate", "infer", "respond", "show", "export", "import"]


@pytest.mark.parametrize(
    "command",
    [
        *("", "check", "optimize", "evaluate", "transfer", "infer", "import", "bench"),
        *("trace", "cache", "cache stats", "data", "data split"),
        *("finetune", "finetune export", "finetune submit"),
    ],
)
def test_help_loads_nothing_heavy(command: str) -> None:
    code = f"""
import sys, json
from popi_prompt.cli.main import run
sys.argv = ["popi-prompt", *{command.split()!r}, "--help"]
try:
    run()
except SystemExit as stop:
    assert not stop.code
print(json.dumps([m for m in {HEAVY} if m in sys.modules]))
"""
    lines = run(code).splitlines()
    assert lines[0].startswith("Usage: popi-prompt")
    assert json.loads(lines[-1]) == []


def test_the_console_script_is_installed() -> None:
    script = Path(sys.executable).parent / "popi-prompt"
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("popi-prompt")


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_third_parties_are_imported_only_where_allowed(module: Path) -> None:
    for name in imports(module):
        top = name.split(".")[0]
        if top in sys.stdlib_module_names or top == "popi_prompt":
            continue
        assert top in PLACES, f"{name_of(module)} imports {top}"
        assert name_of(module).startswith(PLACES[top]), f"{name_of(module)} imports {top}"


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_nothing_imports_the_command_line_or_the_fakes(module: Path) -> None:
    assert "testing" not in own(module)
    if drawer(module) != "cli":
        assert "cli" not in own(module)


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_imports_point_one_way(module: Path) -> None:
    if drawer(module) in OUTSIDE:
        return
    place = ORDER.index(drawer(module))
    for other in own(module):
        assert ORDER.index(other) <= place, f"{name_of(module)} imports {other}, which comes later"


def test_the_order_names_every_module() -> None:
    assert {drawer(module) for module in MODULES} == {*ORDER, *OUTSIDE}


def test_every_module_says_what_it_is() -> None:
    for module in MODULES:
        assert ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))), name_of(module)


def test_every_drawer_and_the_programs_are_packaged() -> None:
    settings = tomllib.loads((ROOT.parent / "pyproject.toml").read_text(encoding="utf-8"))
    folders = {
        ".".join(init.parent.relative_to(ROOT.parent).parts) for init in ROOT.rglob("__init__.py")
    }
    packages = settings["tool"]["setuptools"]["packages"]
    assert set(packages) == {"popi_prompt.programs", *folders}
