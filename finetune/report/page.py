"""The facts as one HTML page that needs nothing beside itself: no script, no font, no picture from elsewhere."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from finetune.report import sections
from finetune.report.drawing import chart
from finetune.report.writing import duration, figure, size, written

COLOURS = {"training": "--blue", "held-out rows": "--orange"}
PALETTE = ("--blue", "--orange", "--good", "--bad", "--fair", "--soft")
MAY_BE_MISSING = ("judged", "lint", "verified", "predicted")
JOB: Mapping[str, Any] = {
    "status": None,
    "error": None,
    "gate": None,
    "ended_at": None,
    "warning": "",
}


def page(facts: Mapping[str, Any], job: Mapping[str, Any] | None = None) -> str:
    """The page. `job` is what the service knows beside the directory: what `JOB` names."""
    known = {**JOB, **(job or {})}
    training = facts["training"]
    drawn = chart(
        {"training": training["losses"], "held-out rows": training["held_out_losses"]},
        training.get("checkpoint"),
    )
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            facts={**dict.fromkeys(MAY_BE_MISSING), **facts},
            job=known,
            verdicts=list(sections.verdicts(facts, known)),
            comparisons=sections.comparisons(facts.get("judged") or {}),
            data_rows=sections.data_rows(facts["data"]),
            chart=drawn,
            colours=COLOURS,
            training_rows=sections.training_rows(training, facts["seconds"]),
            predicted_rows=sections.predicted_rows(facts.get("predicted") or {}),
            verified_rows=sections.verified_rows(facts.get("verified") or {}),
            versions=facts["versions"],
        )
    )


def comparison_page(compared: Mapping[str, Any]) -> str:
    """Several jobs, as `compared.compared` puts them side by side."""
    jobs = compared["jobs"]
    drawn = chart({f"{one['model']} ({one['id'][-6:]})": one["held_out_losses"] for one in jobs})
    colours = {
        name: PALETTE[n % len(PALETTE)] for n, name in enumerate(drawn.lines if drawn else ())
    }
    template = _environment().get_template("compare.html.jinja")
    rows = sections.compared_rows(jobs)
    return template.render(compared=compared, chart=drawn, colours=colours, rows=rows)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters |= {
        "figure": figure,
        "written": written,
        "duration": duration,
        "size": size,
    }
    return environment
