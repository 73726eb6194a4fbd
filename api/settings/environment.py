"""What stands in the environment and in `.env` beside the settings: slips, told at the start, and keys of back ends."""

import os

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from api.settings import Settings


def unknown_variables() -> list[str]:
    """Variables of the environment and `.env` that look like settings and are none."""
    known = {f"LLM_FASTAPI_{name.upper()}" for name in (*Settings.model_fields, "fault")}
    said = {name.upper() for name in (*os.environ, *dotenv_values(".env"))}
    return sorted(name for name in said - known if name.startswith("LLM_FASTAPI_"))


def secret(variable: str) -> str:
    """What a variable holds that is no setting, of the environment or else of `.env`; empty where it is not set."""
    return os.environ.get(variable) or dotenv_values(".env").get(variable) or ""


def unreadable_lines() -> list[int]:
    """Numbers of the lines of `.env` with which something begins that is no `NAME=VALUE`, and is left out."""
    try:
        with open(".env", encoding="utf-8") as file:
            return [one.original.line for one in parse_stream(file) if one.error]
    except FileNotFoundError:
        return []
