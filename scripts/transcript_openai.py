"""A transcript of OpenAI's stock Python SDK at a running service: a PDF is asked, and a model is tuned.

    python -m api                                                           in another terminal
    python scripts/transcript_openai.py [--base-url URL] [--api-key KEY]

Each call is shown with what of its answer matters. What it makes it deletes, but for the response.
"""

import argparse
import csv
import json
import sys
import time
from pathlib import Path
from typing import Any

from openai import OpenAI
from openai.types.fine_tuning import FineTuningJob

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
QUESTIONS = json.loads((EXAMPLES / "questions.json").read_text(encoding="utf-8"))
MODEL = "demo"
ENDED = ("succeeded", "failed", "cancelled")
MOST_SECONDS = 1800


def main() -> int:
    """Run it; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base-url", default="http://127.0.0.1:3000/v1")
    parser.add_argument("--api-key", default="none")
    arguments = parser.parse_args()
    with OpenAI(
        base_url=arguments.base_url, api_key=arguments.api_key, _strict_response_validation=True
    ) as client:
        ask_a_pdf(client)
        tune_a_model(client)
    return 0


def told(call: str, **answer: Any) -> None:
    """Show a call and what matters of its answer."""
    sys.stdout.write(f"\n>>> {call}\n")
    for name, value in answer.items():
        sys.stdout.write(f"    {name}: {value}\n")
    sys.stdout.flush()


def ask_a_pdf(client: OpenAI) -> None:
    """A vector store is made of a PDF and asked through `responses`."""
    store = client.vector_stores.create(name="handbook")
    told('store = client.vector_stores.create(name="handbook")', id=store.id, status=store.status)
    with (EXAMPLES / "handbook.pdf").open("rb") as pdf:
        file = client.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=pdf)
    told(
        'client.vector_stores.files.upload_and_poll(vector_store_id=store.id, file=open("handbook.pdf", "rb"))',
        id=file.id,
        status=file.status,
        counts=client.vector_stores.retrieve(store.id).file_counts.to_dict(),
    )
    question = QUESTIONS["document_questions"][0]["question"]
    response = client.responses.create(
        model=MODEL,
        input=question,
        tools=[{"type": "file_search", "vector_store_ids": [store.id]}],
        temperature=0,
    )
    annotations = [
        annotation.to_dict()
        for item in response.output
        if item.type == "message"
        for part in item.content
        if part.type == "output_text"
        for annotation in part.annotations
    ]
    told(
        f"client.responses.create(model={MODEL!r}, input={question!r}, "
        'tools=[{"type": "file_search", "vector_store_ids": [store.id]}])',
        output=[item.type for item in response.output],
        output_text=response.output_text,
        annotations=annotations,
    )
    client.vector_stores.delete(store.id)
    client.files.delete(file.id)


def tune_a_model(client: OpenAI) -> None:
    """A JSONL is uploaded, a model is tuned on it and asked."""
    question = QUESTIONS["fine_tune"][0]["question"]
    told(f"chat with {MODEL!r}: {question}", content=answered(client, MODEL, question))
    file = client.files.create(file=("train.jsonl", rows()), purpose="fine-tune")
    told(
        'file = client.files.create(file=open("train.jsonl", "rb"), purpose="fine-tune")',
        id=file.id,
        bytes=file.bytes,
    )
    job = client.fine_tuning.jobs.create(
        model=MODEL,
        training_file=file.id,
        suffix="northwind-sdk",
        extra_body={"hyperparameters": QUESTIONS["fine_tune_parameters"]},
    )
    told(
        f"job = client.fine_tuning.jobs.create(model={MODEL!r}, training_file=file.id, "
        'suffix="northwind-sdk", extra_body={"hyperparameters": {...}})',
        id=job.id,
        status=job.status,
        hyperparameters=job.hyperparameters.to_dict(),
    )
    job = polled(client, job)
    told(
        "client.fine_tuning.jobs.retrieve(job.id)",
        status=job.status,
        fine_tuned_model=job.fine_tuned_model,
        trained_tokens=job.trained_tokens,
        error=job.error,
    )
    kept = client.fine_tuning.jobs.checkpoints.list(job.id, limit=2).data
    told(
        "client.fine_tuning.jobs.checkpoints.list(job.id, limit=2)",
        metrics=[one.metrics.to_dict() for one in kept],
    )
    if job.fine_tuned_model:
        content = answered(client, job.fine_tuned_model, question)
        told(f"chat with {job.fine_tuned_model!r}: {question}", content=content)
        client.models.delete(job.fine_tuned_model)
    client.files.delete(file.id)


def polled(client: OpenAI, job: FineTuningJob) -> FineTuningJob:
    """The job when it has ended; what its events say is shown as it comes, but for the losses of its steps."""
    until, shown = time.monotonic() + MOST_SECONDS, set[str]()
    while job.status not in ENDED and time.monotonic() < until:
        time.sleep(2)
        job = client.fine_tuning.jobs.retrieve(job.id)
        newest = client.fine_tuning.jobs.list_events(job.id, limit=20).data
        for event in reversed(newest):
            if event.id not in shown and event.type == "message":
                sys.stdout.write(f"    {job.status}: {event.message}\n")
                sys.stdout.flush()
            shown.add(event.id)
    return job


def answered(client: OpenAI, model: str, question: str) -> str | None:
    """What a model says."""
    completion = client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": question}], temperature=0, max_tokens=40
    )
    return completion.choices[0].message.content


def rows() -> bytes:
    """The example's rows as JSON Lines."""
    with (EXAMPLES / "train.csv").open(encoding="utf-8", newline="") as file:
        return b"".join(
            json.dumps({"messages": json.loads(row["messages"])}).encode() + b"\n"
            for row in csv.DictReader(file)
        )


if __name__ == "__main__":
    sys.exit(main())
