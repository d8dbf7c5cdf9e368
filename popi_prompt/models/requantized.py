"""Small published weights in 8 bits: llama.cpp has no fast x86 kernel for their 4-bit format.

Q8_0 holds the 16 levels of a Q4_1 block to within half a percent of its range and runs up to twice
as fast. The file is made once, in half a second, and kept in the user's cache.
"""

from __future__ import annotations

import ctypes
import os
from importlib import metadata
from pathlib import Path

from popi_prompt.errors import WeightsError
from popi_prompt.models.llama_context import load_library
from popi_prompt.models.weights import CATALOGUE, beside, cache_folder, find_weights, not_kept


def engine_file(name: str) -> Path:
    """The GGUF file that the engine loads for a local model, by `find_weights`' names.

    Raises what `find_weights` does, and `WeightsError` where the file in 8 bits cannot be made.
    """
    if name not in CATALOGUE or not CATALOGUE[name].faster:
        return find_weights(name)
    version = metadata.version("llama-cpp-python")
    target = cache_folder() / f"{CATALOGUE[name].sha256}-q8_0-{version}.gguf"
    if not os.path.isfile(target):
        source = find_weights(name)
        try:
            with beside(target) as temporary:
                _requantize(source, temporary)
        except OSError as error:
            raise not_kept(target, error) from None
    return target


def _requantize(source: Path, target: Path) -> None:
    lib = load_library()
    params = lib.llama_model_quantize_default_params()
    params.ftype = lib.LLAMA_FTYPE_MOSTLY_Q8_0
    params.allow_requantize = True
    failed = lib.llama_model_quantize(
        os.fsencode(source), os.fsencode(target), ctypes.byref(params)
    )
    if failed:
        raise WeightsError(
            f"{str(source)!r} could not be written in 8 bits to {str(target.parent)!r}; is the "
            "disk full? Use local/smollm2-135m-q4_1, or set XDG_CACHE_HOME"
        )
