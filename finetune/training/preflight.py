"""Estimates memory and disk before anything is trained, so that a run fails in seconds with numbers, not in hours."""

import json
import shutil
import struct
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from finetune.job.parameters.exporting import Quantization
from finetune.job.spec import FineTuneSpec
from finetune.job.stage import StageFailed

GIB = 2**30
BYTES_OF_DTYPE = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "I8": 1, "U8": 1}
BITS_OF_TYPE: dict[Quantization, float] = {
    "F16": 16,
    "Q8_0": 8.5,
    "Q6_K": 6.6,
    "Q5_K_M": 5.7,
    "Q4_K_M": 4.9,
    "Q4_K_S": 4.6,
    "Q3_K_M": 3.9,
}
LIBRARIES_BYTES = GIB // 2  # what the imports take
BYTES_PER_LORA_PARAMETER = 16  # weight, gradient, two moments


@dataclass(frozen=True, slots=True)
class Base:
    """Figures of a base model, read from the headers of its weights."""

    parameters: int
    linear: int
    lora_per_rank: int
    layers: int
    hidden: int
    vocabulary: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """Bytes that the job needs."""

    weights: int
    adapter: int
    activations: int
    merge_memory: int
    disk: int

    @property
    def training(self) -> int:
        """What training holds at once."""
        return self.weights + self.adapter + self.activations


def safetensors_header(path: Path) -> tuple[int, dict[str, Any]]:
    """The bytes of a file's header, and what it says of each tensor by name."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(min(length, path.stat().st_size)))
    return length, {name: tensor for name, tensor in header.items() if name != "__metadata__"}


def _headers(folder: Path) -> dict[str, Any]:
    tensors: dict[str, Any] = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            tensors |= safetensors_header(path)[1]
        except (OSError, ValueError, struct.error) as error:
            raise StageFailed("Base model damaged", f"{path.name}: {error}") from error
    if not tensors:
        raise StageFailed(
            "Base model unusable", f"{folder.name} holds no safetensors weights. Fetch them."
        )
    return tensors


def read_base(folder: Path) -> Base:
    """Measure a base model without loading it. Raises `StageFailed`."""
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        return _measured(config.get("text_config", config), _headers(folder))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise StageFailed(
            "Base model damaged",
            f"config.json or a header of the weights holds what it should not: {error!r}. Fetch it again.",
        ) from error


def _measured(config: dict[str, Any], tensors: dict[str, Any]) -> Base:
    parameters = linear = lora = size = 0
    for name, tensor in tensors.items():
        count = 1
        for length in tensor["shape"]:
            count *= length
        parameters += count
        size += count * BYTES_OF_DTYPE.get(tensor["dtype"], 4)
        if len(tensor["shape"]) == 2 and not any(part in name for part in ("embed", "lm_head")):
            linear += count
            lora += sum(tensor["shape"])
    return Base(
        parameters=parameters,
        linear=linear,
        lora_per_rank=lora,
        layers=int(config.get("num_hidden_layers", 32)),
        hidden=int(config.get("hidden_size", 4096)),
        vocabulary=int(config.get("vocab_size", 32000)),
        bytes=size,
    )


def estimate(base: Base, spec: FineTuneSpec, longest: int, plain_bytes: int) -> Estimate:
    """What the job needs, when an unquantized weight takes `plain_bytes`."""
    per_linear = {4: 0.56, 8: 1.05, 16: float(plain_bytes)}[spec.bits]
    tokens = spec.batch_size * (spec.max_length if spec.packs else min(spec.max_length, longest))
    kept = base.layers if spec.gradient_checkpointing else base.layers * 17
    activations = tokens * base.hidden * plain_bytes * (kept + 34) + tokens * base.vocabulary * 6
    adapter = base.lora_per_rank * spec.rank
    quantized = base.parameters * BITS_OF_TYPE[spec.quantization] / 8
    return Estimate(
        weights=int(base.linear * per_linear + (base.parameters - base.linear) * plain_bytes),
        adapter=adapter * BYTES_PER_LORA_PARAMETER,
        activations=activations,
        merge_memory=2 * base.bytes + LIBRARIES_BYTES,
        disk=int(base.bytes + base.parameters * 2 + quantized + adapter * 40),
    )


def available_memory() -> int:
    """RAM this process may still take: of the machine, and of its control group."""
    available = 2**62
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                available = int(line.split()[1]) * 1024
    group = Path("/sys/fs/cgroup")
    try:
        limit = (group / "memory.max").read_text().strip()
        if limit != "max":
            used = int((group / "memory.current").read_text())
            available = min(available, max(0, int(limit) - used))
    except (OSError, ValueError):
        return available
    return available


def check(
    folder: Path, base: Base, needed: Estimate, *, device: str, device_free: int
) -> list[dict[str, Any]]:
    """Refuse what surely does not fit; what may not fit is a warning. Raises `StageFailed`."""
    on_gpu = device != "cpu"
    sure = needed.weights + needed.adapter + (0 if on_gpu else LIBRARIES_BYTES)
    place = "on the GPU" if on_gpu else "of RAM"
    if sure > device_free:
        raise StageFailed(
            "Not enough memory to train",
            f"Weights and adapter need {gib(sure)} {place}, {gib(device_free)} are free "
            f"({base.parameters / 1e6:.0f} M parameters). Use bits=4, a lower rank or a smaller base.",
        )
    require_memory(needed.merge_memory, "Merging")
    require_disk(folder, needed.disk)
    if needed.training > device_free:
        return [
            {
                "kind": "memory",
                "detail": f"Training may need {gib(needed.training)} {place}, {gib(device_free)} are "
                "free. If it fails, use a smaller batch_size or max_length.",
                **asdict(needed),
            }
        ]
    return []


def require_memory(needed: int, doing: str) -> None:
    """Raises `StageFailed` when there is not that much RAM."""
    free = available_memory()
    if needed > free:
        raise StageFailed(
            "Not enough memory",
            f"{doing} needs about {gib(needed)} of RAM, {gib(free)} are free. "
            "Stop other programs or use a smaller base.",
        )


def require_disk(folder: Path, needed: int) -> None:
    """Raises `StageFailed` when the disk has not that much room."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StageFailed(
            "Not enough disk",
            f"About {gib(needed)} are needed beside the job, {gib(free)} are free. Free some space.",
        )


def gib(size: int) -> str:
    """A size to read."""
    return f"{size / GIB:.2f} GiB"
