"""The dataset stage: what is held out, what the linter sees, and what the tokenizer makes of it."""

import json
import shutil
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerBase

from finetune.bases import tokenizer_files
from finetune.data.rows import Chat, Conversation, conversations_of, write_rows
from finetune.job.directory import JobDirectory
from finetune.job.stage import StageFailed, base_folder, read_spec
from finetune.stages.dataset import dataset
from finetune.tokenizer import DEFAULT_TEMPLATE, load_tokenizer, prompt_ids, prompt_of, render
from tests.finetune.conftest import question_rows
from tests.finetune.jobs import DEMO_MODEL, events, new_job, write_csv

ASKED: Conversation = [{"role": "user", "content": "Hi"}]
ANSWERED: Conversation = [*ASKED, {"role": "assistant", "content": "Ho"}]


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return load_tokenizer(DEMO_MODEL)


def rows(conversations: list[Conversation]) -> list[Chat]:
    return [Chat(number, messages) for number, messages in enumerate(conversations, 1)]


def made(job: JobDirectory) -> tuple[list[Conversation], list[Conversation]]:
    folder = job.stage("dataset")
    dataset(job, read_spec(job), folder)
    return conversations_of(folder.path / "train.jsonl"), conversations_of(
        folder.path / "eval.jsonl"
    )


def test_strings_reach_the_stage_unchanged(jobs_folder: Path) -> None:
    odd = [[{"role": "user", "content": " \u2028{{x}}\r\n\t%s <|im_end|> "}, ANSWERED[1]]]
    job = new_job(jobs_folder / "job_odd", odd + question_rows()[:5])
    assert made(job)[0][0] == odd[0]


def test_an_evaluation_file_is_taken_instead_of_a_share(jobs_folder: Path) -> None:
    job = new_job(jobs_folder / "job_eval", question_rows())
    write_csv(job.input_path("eval", "csv"), [ANSWERED])
    train, test = made(job)
    assert (len(train), test) == (40, [ANSWERED])


def test_an_unusable_file_fails_with_its_row(jobs_folder: Path) -> None:
    job = new_job(jobs_folder / "job_bad", [ANSWERED, ASKED])
    with pytest.raises(StageFailed, match=r"train\.csv: 1 bad row\. First: row 2"):
        made(job)


def test_a_base_that_changes_under_a_job_is_refused(jobs_folder: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(DEMO_MODEL, base)
    job = new_job(jobs_folder / "job_base", question_rows()[:5], base_model_folder=str(base))
    made(job)
    assert base_folder(job, read_spec(job)) == base
    with (base / "model.safetensors").open("r+b") as weights:
        weights.seek(-2, 2)
        weights.write(b"??")
    with pytest.raises(StageFailed, match="Base model changed"):
        base_folder(job, read_spec(job))


def test_rows_with_nothing_to_learn_are_left_out_and_told(jobs_folder: Path) -> None:
    long_prompt = [{"role": "user", "content": "ha " * 100}, ANSWERED[1]]
    job = new_job(jobs_folder / "job_long", [long_prompt, *question_rows()[:5]], max_length=64)
    assert len(made(job)[0]) == 5
    assert [event.fields["kind"] for event in events(job, "warning")] == ["nothing_to_learn"]
    assert json.loads((job.path / "dataset" / "lint.json").read_text())["figures"]["longest"] > 64
    none = new_job(jobs_folder / "job_none", [long_prompt, long_prompt], max_length=64)
    with pytest.raises(StageFailed, match="Raise max_length"):
        made(none)


def test_a_template_that_refuses_a_row_names_it(
    tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    model = other_template(tmp_path, "{{ raise_exception('roles must alternate') }}")
    with pytest.raises(StageFailed, match="roles must alternate"):
        load_tokenizer(model)


def other_template(folder: Path, template: str | None) -> Path:
    model = folder / "model"
    model.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(DEMO_MODEL / name, model)
    if template is not None:
        (model / "chat_template.jinja").write_text(template)
    return model


def test_a_base_that_cannot_chat_is_given_a_template_of_plain_words(tmp_path: Path) -> None:
    plain = load_tokenizer(other_template(tmp_path, None))
    assert render(plain, ASKED, prompt=True) == "<s>### User:\nHi\n\n### Assistant:\n"
    assert plain.chat_template == "{{ bos_token }}" + DEFAULT_TEMPLATE
    assert plain.eos_token is not None
    assert render(plain, ANSWERED, prompt=False).endswith(f"Ho{plain.eos_token}\n\n")


def test_a_template_without_the_begin_token_gets_what_the_engine_would_put_there(
    tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    template = str(tokenizer.chat_template).replace("{{ bos_token }}", "")
    mended = load_tokenizer(other_template(tmp_path, template))
    assert prompt_ids(mended, ASKED) == prompt_ids(tokenizer, ASKED)


def test_the_tokenizer_is_laid_out_with_what_the_converter_looks_for(
    tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    base, merged = other_template(tmp_path, None), tmp_path / "merged"
    merged.mkdir()
    (base / "tokenizer.model").write_bytes(b"sentencepiece")
    tokenizer_files.lay_out(base, tokenizer, merged)
    assert (merged / "tokenizer.model").read_bytes() == b"sentencepiece"
    assert (merged / "tokenizer.json").read_bytes() == (base / "tokenizer.json").read_bytes()
    assert (merged / "chat_template.jinja").read_text() == tokenizer.chat_template
    config = json.loads((merged / "tokenizer_config.json").read_text())
    added = {
        entry["content"]: int(number) for number, entry in config["added_tokens_decoder"].items()
    }
    assert added["<|im_end|>"] == tokenizer.eos_token_id


def test_a_prompt_ends_before_the_last_answer() -> None:
    assert prompt_of([*ANSWERED, *ANSWERED, *ASKED]) == [*ANSWERED, *ASKED]


def test_rows_that_the_api_has_read_are_taken_as_they_are(jobs_folder: Path) -> None:
    job = new_job(jobs_folder / "job_rows", [ANSWERED, ANSWERED])
    write_rows(job.input_path("train", "rows.jsonl"), rows(question_rows()))
    write_rows(job.input_path("test", "rows.jsonl"), rows([ANSWERED]))
    train, judged = made(job)
    assert (len(train), len(judged)) == (38, 2)
    assert conversations_of(job.stage("dataset").path / "test.jsonl") == [ANSWERED]


def test_the_stage_splits_anew_what_a_crash_has_left(jobs_folder: Path) -> None:
    job = new_job(jobs_folder / "job_again", question_rows())
    first = made(job)
    assert made(job) == first
    names = {path.name for path in job.stage("dataset").path.iterdir()}
    assert names == {"train.jsonl", "eval.jsonl", "test.jsonl", "lint.json", "done.json"}
