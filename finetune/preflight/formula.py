"""What a run needs by arithmetic alone: memory and seconds of each stage, and disk, from the shape of base and data.

The constants were measured (docs/before-a-run.md); what a machine really needs corrects them (`history`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from finetune.job.hardware import Hardware
from finetune.job.parameters.exporting import Quantization
from finetune.job.spec import FineTuneSpec, stages_of
from finetune.preflight.base import Base

MIB = 2**20
BITS_OF_TYPE: dict[Quantization, float] = {
    "F16": 16,
    "Q8_0": 8.5,
    "Q6_K": 6.6,
    "Q5_K_M": 5.7,
    "Q4_K_M": 4.9,
    "Q4_K_S": 4.6,
    "Q3_K_M": 3.9,
}
LIBRARIES = 380 * MIB  # what every stage has imported
TRAINER = 100 * MIB  # what training imports beside that
LINTER = 220 * MIB  # and what tries a base
TRIED_WHOLE = 256 * MIB
CONVERTER = 40 * MIB
ENGINE = 110 * MIB  # llama.cpp, and what checks it
BITSANDBYTES = {16: 0, 8: 290 * MIB, 4: 120 * MIB}  # buffers of its library, at most
CUDA_CONTEXT = 500 * MIB  # beside what torch counts
BYTES_OF_WEIGHT = {"gpu": {4: 0.516, 8: 1.01}, "cpu": {4: 0.516, 8: 1.65}}
"""Of a linear layer, with its scales; LLM.int8 keeps more on a CPU."""
LOGIT_COPIES = 7  # of the logits, in float32, where the loss is computed
KEPT_HIDDEN, KEPT_WIDE = 30, 8  # values a token and layer keep until the way back
KEPT_ON_CPU = (
    16  # hidden vectors a token and layer with checkpointing: what is freed is not all given back
)
PYTORCH_SLACK = 60 * MIB

CPU_FLOPS = {True: 72e9, False: 36e9}  # float32, one thread, with and without AVX-512
OVERHEAD_OF_LAYER = 0.002  # seconds a layer takes beside its arithmetic, in each pass
GPU_FLOPS = {
    "H200": 400e12, "H100": 380e12, "A100": 170e12, "L40": 130e12, "4090": 90e12, "5090": 120e12,
    "3090": 45e12, "A10": 50e12, "L4": 40e12, "A6000": 60e12, "T4": 18e12, "V100": 40e12,
}  # fmt: skip
"""What training reaches there in 16 bits, by a part of the name; roughly, until history knows better."""
GPU_FLOPS_UNKNOWN = 30e12
START_SECONDS = 4.0  # imports
TRAINER_SECONDS = 1.5
CHECKPOINT_SECONDS = 0.1
CHECKPOINTS = 10
DORA_SLOWER = 1.5
DISK_BYTES_A_SECOND = 400e6
MOST_EVALUATED = 200
SKILL_TOKENS = 1500  # of the questions that any model should know
BYTES_A_SECOND = {
    "gpu": 300e9,
    "cpu": 10e9,
}  # that llama.cpp reads of a model to write its next token
QUANTIZE_SECONDS: dict[Quantization, float] = {
    "F16": 0,
    "Q8_0": 10e-9,
    "Q6_K": 40e-9,
    "Q5_K_M": 55e-9,
    "Q4_K_M": 55e-9,
    "Q4_K_S": 55e-9,
    "Q3_K_M": 50e-9,
}
"""A parameter takes so long on one thread."""


@dataclass(frozen=True, slots=True)
class Amount:
    """Of the rows: how many are learned and how many judge, tokens of those that are learned, and of the longest."""

    rows: int
    eval_rows: int
    tokens: int
    longest: int


@dataclass(frozen=True, slots=True)
class Needs:
    """Bytes and seconds.

    `ram` and `seconds` are by stage; what of `ram` is `mapped` the kernel can take back. `vram` is what training takes
    of a GPU, `disk` the most that lies beside the job at one time, `left` what stays when it is published.
    """

    ram: Mapping[str, int]
    mapped: Mapping[str, int]
    vram: int
    disk: int
    left: int
    seconds: Mapping[str, float]
    step_seconds: float
    longest_batch_seconds: float
    steps: int
    parts: Mapping[str, int] = field(default_factory=dict)

    @property
    def total_seconds(self) -> float:
        """All stages."""
        return sum(self.seconds.values())


def needs(base: Base, spec: FineTuneSpec, amount: Amount, machine: Hardware) -> Needs:
    """What the run needs on this machine."""
    run = _Run(base, spec, amount, machine)
    stages = stages_of(spec)
    ram = {name: value for name, value in run.ram().items() if name in stages}
    seconds = {name: value for name, value in run.seconds().items() if name in stages}
    disk, left = run.disk()
    return Needs(
        ram=ram,
        mapped=run.mapped(),
        vram=run.device_bytes() + CUDA_CONTEXT if run.on_gpu and "train" in stages else 0,
        disk=disk,
        left=left,
        seconds=seconds,
        step_seconds=run.step_seconds(),
        longest_batch_seconds=run.longest_batch_seconds(),
        steps=spec.steps(run.sequences),
        parts=run.parts(),
    )


class _Run:
    """The arithmetic of one run, piece by piece."""

    def __init__(self, base: Base, spec: FineTuneSpec, amount: Amount, machine: Hardware) -> None:
        self.base, self.spec, self.amount, self.machine = base, spec, amount, machine
        self.on_gpu = machine.device == "gpu"
        self.is_full = spec.adapter == "full"
        self.value = 2 if self.on_gpu and not self.is_full else 4  # bytes of what is computed in
        self.trained = base.parameters if self.is_full else base.lora_per_rank * spec.rank
        self.longest = min(spec.max_length, max(1, amount.longest))
        self.answers = (
            2 if spec.method == "dpo" else 1
        )  # the wanted and the other one, each with the prompt
        average = max(1, amount.tokens) / max(1, amount.rows)
        if spec.packs:
            self.sequences = max(1, math.ceil(amount.tokens / spec.max_length))
            self.width = float(min(spec.max_length, amount.tokens))
            self.longest = min(spec.max_length, max(self.longest, amount.tokens))
        else:
            self.sequences = max(1, amount.rows)
            # a batch is as wide as the longest row in it
            self.width = average + (self.longest - average) * (1 - 1 / spec.batch_size) * 0.5

    # memory

    def resident(self) -> int:
        """The base as it is trained."""
        rest = self.base.embedded * self.value
        if self.spec.bits == 16:
            return rest + self.base.linear * self.value
        return int(rest + self.base.linear * BYTES_OF_WEIGHT[self.machine.device][self.spec.bits])

    def optimised(self) -> int:
        """Of what is trained gradient and moments, and the weights where they are not the base's own."""
        return self.trained * (12 if self.is_full else 16)

    def activations(self) -> int:
        """What a batch of the longest rows keeps until the way back, and its logits."""
        tokens = self.longest * self.spec.batch_size * self.answers
        kept = tokens * self.value * (KEPT_HIDDEN * self.base.hidden + KEPT_WIDE * self.base.wide)
        layers = kept * self.base.layers
        if self.spec.gradient_checkpointing:
            vectors = 1 if self.on_gpu else KEPT_ON_CPU
            layers = kept + vectors * tokens * self.value * self.base.hidden * self.base.layers
        if self.spec.adapter == "dora":
            layers += (
                self.base.linear * self.value // self.base.layers * 2
            )  # a weight is made whole
        return layers + tokens * self.base.vocabulary * 4 * LOGIT_COPIES

    def device_bytes(self) -> int:
        """What training holds at once on its device, beside libraries."""
        return self.resident() + self.optimised() + self.activations() + PYTORCH_SLACK

    def parts(self) -> dict[str, int]:
        """What training's memory is made of."""
        return {
            "weights": self.resident(),
            "adapter": self.optimised(),
            "activations": self.activations(),
        }

    def ram(self) -> dict[str, int]:
        """The most RAM of each stage."""
        unpacking = min(BITSANDBYTES[self.spec.bits], 8 * self.base.linear)
        libraries = LIBRARIES + TRAINER + unpacking
        loading = libraries + self.resident() + self.base.bytes  # the file is mapped meanwhile
        training = libraries + self.device_bytes()
        if self.on_gpu:
            loading = training = libraries + CUDA_CONTEXT + self.base.bytes
        f16 = self.base.parameters * 2
        largest = self.base.vocabulary * self.base.hidden  # a tensor at a time
        streamed = LIBRARIES + CONVERTER + 6 * largest + 4 * self.trained
        quantized = f16 + max(self.files(), default=0) + 4 * largest  # both files are mapped
        return {
            "dataset": LIBRARIES + (LINTER + self.trying() if not self.base.is_tried else 0),
            "train": max(loading, training),
            "merge": streamed,
            "convert": streamed,
            "quantize": LIBRARIES + quantized,
            "verify": LIBRARIES + ENGINE + self.base.bytes + quantized + 8 * largest,
            "evaluate": LIBRARIES + ENGINE + quantized,
            "report": LIBRARIES,
        }

    def mapped(self) -> dict[str, int]:
        """Of that the files, which are only looked into."""
        f16 = self.base.parameters * 2
        both = f16 + max(self.files(), default=0)
        loading = max(0, self.resident() + self.base.bytes - self.device_bytes())
        return {
            "train": self.base.bytes if self.on_gpu else min(loading, self.base.bytes),
            "quantize": both,
            "verify": self.base.bytes + both,
            "evaluate": both,
        }

    def trying(self) -> int:
        """What a base takes that is tried once: the whole of a small one, two layers of a large one."""
        whole = self.base.bytes + 2 * self.base.parameters
        layers = self.base.embedded + 2 * self.base.linear // max(1, self.base.layers)
        return min(whole, 6 * layers) if self.base.bytes > TRIED_WHOLE else whole

    def files(self) -> list[int]:
        """The size of each GGUF file beside the F16 one."""
        types = (name for name in self.spec.quantization if name != "F16")
        return [int(self.base.parameters * BITS_OF_TYPE[name] / 8) for name in types]

    # disk

    def disk(self) -> tuple[int, int]:
        """The most at one time, and what stays."""
        f16 = self.base.parameters * 2
        files = sum(self.files())
        each = self.trained * (4 if self.spec.bits == 16 else 2)
        learned = each + self.amount.tokens * 16
        kept = each * (2 if self.is_full else self.checkpoints())
        training = kept + 2 * self.trained * 8 + learned
        merged = f16 if self.spec.keep_merged else 0
        left = kept + learned + merged + files
        return max(training, left + f16), left

    def checkpoints(self) -> int:
        """How many are kept."""
        steps = self.spec.steps(self.sequences)
        return math.ceil(steps / (self.spec.checkpoint_steps or max(1, steps // CHECKPOINTS)))

    # seconds

    def flops(self) -> float:
        """Operations a second that training reaches."""
        if self.on_gpu:
            name = self.machine.gpu or ""
            known = (speed for part, speed in GPU_FLOPS.items() if part in name)
            return next(known, GPU_FLOPS_UNKNOWN) * 0.4
        return float(CPU_FLOPS[self.machine.avx512] * self.machine.threads**0.9)

    def slower_by_bits(self) -> float:
        """What unpacking quantized weights costs."""
        if self.spec.bits == 16:
            return 1.0
        if self.on_gpu:
            return 1.2 if self.spec.bits == 4 else 1.6
        return 1.08 if self.machine.avx512 else 1.75

    def pass_seconds(self, tokens: float, length: float, *, learning: bool) -> float:
        """So many tokens in rows of this length through the model: there, or there and back."""
        passes = 2 + self.spec.gradient_checkpointing if learning else 1
        if self.answers == 2:
            tokens, passes = tokens * 2, passes + 1  # and what the base says of both
        gradients = learning and self.is_full
        linear = 2 * tokens * self.base.active * (passes + gradients) * self.slower_by_bits()
        lora = 0 if self.is_full else 2 * tokens * self.trained * (passes + 1)
        attention = 4 * tokens * length * self.base.hidden * self.base.layers * passes
        head = 2 * tokens * self.base.vocabulary * self.base.hidden * (2 if learning else 1)
        layers = OVERHEAD_OF_LAYER * self.base.layers * passes
        slower = DORA_SLOWER if self.spec.adapter == "dora" else 1.0
        return (linear * slower + lora + attention + head) / self.flops() + layers

    def step_seconds(self) -> float:
        """One optimiser step."""
        batch = self.pass_seconds(self.width * self.spec.batch_size, self.width, learning=True)
        return batch * self.spec.accumulation(self.sequences)

    def longest_batch_seconds(self) -> float:
        """A batch of the longest rows, as the probe makes it."""
        tokens = self.longest * self.spec.batch_size
        return self.pass_seconds(tokens, self.longest, learning=True)

    def seconds(self) -> dict[str, float]:
        """Each stage."""
        parameters, threads = self.base.parameters, self.machine.threads
        start = START_SECONDS if self.on_gpu else 0.3
        return {
            "dataset": START_SECONDS + self.amount.tokens * 1e-5,
            "train": start + self.train_seconds(),
            "merge": start + parameters * 12e-9,
            "convert": start + parameters * 8e-9,
            "quantize": start
            + sum(parameters * QUANTIZE_SECONDS[n] / threads for n in self.spec.quantization),
            "verify": start + 1 + parameters * (30e-9 if self.on_gpu else 200e-9 / threads**0.9),
            "evaluate": start + self.evaluate_seconds(),
            "report": start,
        }

    def published(self) -> int:
        """Bytes of the file that is published."""
        return int(self.base.parameters * BITS_OF_TYPE[self.spec.quantization[0]] / 8)

    def evaluate_seconds(self) -> float:
        """The base in the published type, and the answers of both, token by token."""
        parameters, name = self.base.parameters, self.spec.quantization[0]
        made = parameters * (16e-9 + QUANTIZE_SECONDS[name] / self.machine.threads)
        rows = min(self.spec.compare_rows, self.amount.eval_rows)
        answer = min(self.spec.compare_tokens, 32 + self.width / 2)
        token = self.published() / BYTES_A_SECOND[self.machine.device]
        token += 0 if self.on_gpu else OVERHEAD_OF_LAYER * self.base.layers / 4
        skills = self.pass_seconds(SKILL_TOKENS, SKILL_TOKENS / 60, learning=False)
        return made + 2 * (rows * (answer + self.width / 8) * token + skills)

    def train_seconds(self) -> float:
        """Loading, the losses on held-out rows, and all steps."""
        loading = self.base.parameters * (25e-9 if self.spec.bits == 4 else 6e-9)
        judged = min(MOST_EVALUATED, self.amount.eval_rows) * self.width
        judging = self.pass_seconds(judged, self.width, learning=False) if judged else 0.0
        saved = self.checkpoints()
        saving = saved * (CHECKPOINT_SECONDS + self.trained * 12 / DISK_BYTES_A_SECOND)
        batches = self.spec.batches(self.sequences) * self.spec.epochs
        batch = self.pass_seconds(self.width * self.spec.batch_size, self.width, learning=True)
        return TRAINER_SECONDS + loading + (1 + saved) * judging + saving + batches * batch
