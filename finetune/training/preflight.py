"""Names of `finetune.preflight` for those who import them from here."""

from finetune.job.hardware import GIB as GIB
from finetune.job.hardware import available_memory as available_memory
from finetune.preflight.base import read_base as read_base
from finetune.preflight.base import safetensors_header as safetensors_header
from finetune.preflight.formula import BITS_OF_TYPE as BITS_OF_TYPE
from finetune.preflight.room import gib as gib
from finetune.preflight.room import require_disk as require_disk
from finetune.preflight.room import require_memory as require_memory
