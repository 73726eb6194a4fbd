"""Examines the exported files of a job one after the other, and writes down what was measured and what is wrong."""

import gc
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from finetune.checks import speaking, vocabulary, weights
from finetune.checks.comparing import Expected, Seen, above, figures, seen
from finetune.checks.engine import Engine
from finetune.checks.passages import Passage, answer
from finetune.checks.reading import check_prompts, check_texts, check_tools
from finetune.checks.reference import Reference
from finetune.checks.scoring import Scorer
from finetune.checks.subject import Subject
from finetune.checks.verdict import Refused, Verdict
from finetune.gguf_file import Contents, read
from finetune.job.parameters.checking import Bounds
from finetune.job.parameters.exporting import Quantization
from finetune.job.spec import Probe
from finetune.tokenizer import prompt_ids

ROOM = 64
TOKEN_ROWS = {"token_embd.weight": Reference.rows_in, "output.weight": Reference.rows_out}


@dataclass(slots=True)
class Examination:
    """Of all files of a job, told by their names in its directory."""

    subject: Subject
    bounds: Bounds
    verdict: Verdict = field(default_factory=Verdict)
    report: dict[str, Any] = field(default_factory=lambda: {"files": {}})
    warnings: dict[str, str] = field(default_factory=dict)
    exactly: list[Seen] = field(default_factory=list)
    """What the F16 file said."""

    def note(self, name: str, **measured: Any) -> None:
        """Keep something that was measured of a file."""
        self.report["files"].setdefault(name, {}).update(measured)

    def read(self, name: str, path: Path) -> None:
        """What the F16 file says of itself, and how it reads."""
        subject = self.subject
        with self.verdict.of(name):
            contents = Contents(path)
            vocabulary.check_template(subject.tokenizer, contents)
            self.report["tokens"] = vocabulary.check_vocabulary(subject.tokenizer, contents)
            vocabulary.check_marks(subject.tokenizer, subject.marks, contents)
        with self.verdict.of(name):
            context = self._context(path)
            engine = Engine(path, context)
            if not subject.passages:
                subject.passages.extend(_said_by(engine, subject, context))
            self.report["texts"] = check_texts(subject.tokenizer, engine, subject.texts)
            self.report["prompts"] = check_prompts(subject.tokenizer, engine, subject.conversations)
            if wrong := check_tools(subject.tokenizer, engine, subject.conversations):
                self.warnings["tools"] = wrong
            del engine
            gc.collect()

    def ask(self, name: str, path: Path) -> tuple[list[Probe], list[Passage]]:
        """What the published file answers, as probes and as passages."""
        with self.verdict.of(name):
            engine = Engine(path, self._context(path))
            subject = self.subject
            return speaking.ask(
                subject.tokenizer, engine, subject.prompts, must_answer=subject.is_chat
            )
        return [], []

    def hold_exact(
        self, name: str, path: Path, reference: Reference, taught: Sequence[Expected]
    ) -> None:
        """The F16 file against the trained model."""
        with self.verdict.of(name), self._scorer(path) as scorer:
            self.exactly = self._seen(scorer, taught)
            found = figures(self.subject.passages, taught, self.exactly)
            self.note(name, type="F16", **asdict(found))
            if self.subject.is_chat:
                warning = speaking.check_end(self.subject.passages, taught, scorer.ends)
                if warning:
                    self.warnings["stop"] = warning
            speaking.judge_exact(found, self.bounds, is_mixture=self.subject.is_mixture)
        with self.verdict.of(name):
            contents = Contents(path)
            tokens = contents.field("tokenizer.ggml.tokens")
            for tensor in TOKEN_ROWS:
                if tensor in contents.tensors:
                    count = contents.rows_in_a_part(tensor)
                    rows = TOKEN_ROWS[tensor](reference, count)
                    apart = weights.check_rows(
                        contents, tensor, rows, tokens, self.bounds.token_rows
                    )
                    self.note(name, token_rows=apart)

    def hold_quantized(
        self,
        name: str,
        path: Path,
        exact: Path,
        taught: Sequence[Expected],
    ) -> None:
        """A quantized file against the F16 file and the trained model."""
        with self.verdict.of(name):
            before, after = Contents(exact), Contents(path)
            vocabulary.check_tensors(before, after)
            apart = weights.compare(before, after)
            self.note(name, type=after.type, weights=[asdict(one) for one in apart])
            weights.judge(apart, self.bounds.weights)
        with self.verdict.of(name):
            vocabulary.check_header(Contents(exact), Contents(path))
        with self.verdict.of(name), self._scorer(path) as scorer:
            answers = self._seen(scorer, taught)
            kind = Contents(path).type
            tie = self.bounds.difference.get(cast(Quantization, kind), 0.0)
            found = figures(self.subject.passages, taught, answers, tie)
            more = above(self.subject.passages, answers, self.exactly) if self.exactly else None
            self.note(
                name,
                **asdict(found),
                loss_above_f16=more.mean if more else None,
                loss_error=more.error if more else None,
            )
            speaking.judge(found, more, kind, self.bounds)

    def _scorer(self, path: Path) -> Scorer:
        """Raises `Refused` where no file has said anything that could be scored."""
        lengths = [len(passage.tokens) for passage in self.subject.passages]
        if not lengths:
            raise Refused(
                "Nothing to compare",
                "There are no rows, and the file gave no answer to hold against.",
            )
        return Scorer(path, max(lengths) + 1)

    def _context(self, path: Path) -> int:
        asked = self.subject.prompts
        longest = max(len(prompt_ids(self.subject.tokenizer, messages)) for messages in asked)
        wanted = longest + speaking.PROBE_TOKENS + ROOM
        return min(read(path).context_length, wanted)

    def _seen(self, scorer: Scorer, taught: Sequence[Expected]) -> list[Seen]:
        pairs = zip(self.subject.passages, taught, strict=True)
        return [seen(scorer, passage, reference) for passage, reference in pairs]


def _said_by(engine: Engine, subject: Subject, context: int) -> list[Passage]:
    """Where nothing was taught in rows: what the file says to samples, as far as they leave room for an answer."""
    prompts = [
        prompt_ids(subject.tokenizer, one.messages, one.tools) for one in subject.conversations
    ]
    short = [prompt for prompt in prompts if len(prompt) + speaking.PROBE_TOKENS <= context]
    return [answer(prompt, engine.go_on(prompt, speaking.PROBE_TOKENS)) for prompt in short]
