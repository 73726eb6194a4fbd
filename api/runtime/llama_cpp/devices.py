"""What the machine has to compute on, against what the llama.cpp binding can use."""

from collections.abc import Sequence
from pathlib import Path

GPU_HINT = (
    "This machine has an NVIDIA GPU, but the installed llama.cpp binding computes on the CPU only. "
    "Install its CUDA build over it: pip install --force-reinstall --no-deps --index-url INDEX xllamacpp "
    "(INDEX: the address under 'Installation' in xllamacpp's README that fits the driver)."
)


def nvidia_gpu_present() -> bool:
    """Whether the NVIDIA driver shows a GPU."""
    return any(Path("/proc/driver/nvidia/gpus").glob("*")) or any(Path("/dev").glob("nvidia[0-9]*"))


def gpu_hint(devices: Sequence[str], *, present: bool) -> tuple[str, ...]:
    """The hint for a GPU that lies idle, if there is one."""
    uses_gpu = any("GPU" in device for device in devices)
    return (GPU_HINT,) if present and not uses_gpu else ()
