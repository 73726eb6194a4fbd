"""The page of all settings, written from their descriptions."""

from api.settings import Settings


def settings_table() -> str:
    """`docs/settings.md`: every setting with its default and meaning."""
    lines = [
        "# Settings",
        "",
        "Set them in the environment or in a file `.env` in the working directory. An empty one is as not set; a name",
        "that is no setting is told in the log at the start.",
        "",
        "| variable | default | meaning |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = ",".join(field.default) if isinstance(field.default, tuple) else field.default
        default = "" if default in (None, "") else f"`{default}`"
        lines.append(f"| `LLM_FASTAPI_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"
