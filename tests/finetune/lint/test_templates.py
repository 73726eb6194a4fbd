"""The linter reads rows by the chat template of the run, not by the base's own."""

from pathlib import Path

from finetune.lint.tokens import Tokens
from tests.finetune.bases.forms import make
from tests.finetune.lint.test_codes import report_on

WITHOUT_END = (
    "{% for message in messages %}{{ message['role'] + ': ' }}{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] }}{% endgeneration %}{% else %}{{ message['content'] }}"
    "{% endif %}{{ '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)


def test_chatml_gives_a_base_the_marks_that_it_lacked(tmp_path: Path) -> None:
    tokens = Tokens(make("gpt-2", tmp_path / "base"), 512, "assistant", "chatml")
    report = report_on("clean", tokens)
    assert report.findings == []
    learned = [piece.text for piece in report.samples[0].pieces if piece.learned]
    assert learned == ["It is called Aurora.<|im_end|>"]


def test_a_given_template_that_never_ends_an_answer_is_refused(tmp_path: Path) -> None:
    tokens = Tokens(make("gpt-2", tmp_path / "base"), 512, "assistant", WITHOUT_END)
    (finding,) = report_on("clean", tokens).findings
    assert (finding.code, finding.severity, finding.count) == ("end_unsupervised", "error", 10)


def test_with_loss_on_everything_the_prompt_is_learned_too(tmp_path: Path) -> None:
    tokens = Tokens(make("gpt-2", tmp_path / "base"), 512, "all")
    report = report_on("clean", tokens)
    assert report.findings == []
    assert report.figures.supervised_tokens == report.figures.tokens
