"""How the values of settings are written: read as people write them, and made what is compared with later."""

import ipaddress
import json
import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
)

from finetune.job.parameters.checking import Bounds


def _listed(value: object) -> object:
    """A list as people write it: JSON, or texts with commas or white space between them."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value) if value.lstrip().startswith("[") else _split(value)
    except ValueError:  # brackets, but no JSON
        return _split(value.strip("[] "))


def _split(text: str) -> list[str]:
    return [part for part in (part.strip("'\"") for part in re.split(r"[,\s]+", text)) if part]


def _host_name(value: str) -> str:
    """As a browser sends it; a scheme or a port that came along is dropped."""
    try:
        host = urlsplit(value if "://" in value else f"//{value}").hostname or ""
        name = host.encode("idna").decode()
    except ValueError:
        name = ""
    if not re.fullmatch(r"[a-z0-9._:-]+", name):
        raise ValueError("is no host name; write names such as llm.example.org")
    return name


def _origin(value: str) -> str:
    """As a browser sends it: without a path, and without a port that its scheme implies."""
    scheme, _, rest = value.lower().partition("://")
    host = rest.removesuffix("/")
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme) or not re.fullmatch(r"[^/?#@*\s]+", host):
        raise ValueError("is no origin; write origins such as https://app.example.org")
    implied = {"http": ":80", "https": ":443"}.get(scheme, "")
    return f"{scheme}://{host.removesuffix(implied)}"


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value, strict=False))
    except ValueError:
        reason = "is no address; write addresses or networks such as 172.16.0.0/12"
        raise ValueError(reason) from None


def _root_path(value: str) -> str:
    path = "/" + value.strip("/") if value.strip("/") else ""
    if not re.fullmatch(ROOT_PATH, path):
        raise ValueError("is no path; write one such as /llm")
    return path


def _sendable(key: SecretStr) -> SecretStr:
    """A header carries ASCII; another character would be refused for ever."""
    text = key.get_secret_value().strip()
    if not (text.isascii() and text.isprintable() and text):
        raise ValueError(
            "may hold only ASCII letters, digits and signs: a header carries no others"
        )
    return SecretStr(text)


def _folder(value: object) -> object:
    """Nothing is the default, never the working directory; a tilde is the home."""
    if not str(value).strip():
        return Path("data")
    return Path(str(value).strip()).expanduser()


def _object(value: object) -> object:
    """A JSON object."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError('is no JSON; write an object such as {"largest": 0.1}') from None


def _template(value: str) -> str:
    """Line ends as an `.env` can write them."""
    if value.count("{text}") != 1:
        raise ValueError("names no place for the text; write one such as 'query: {text}'")
    return value.replace("\\n", "\n")


def _served(name: str, others: ValidationInfo) -> str:
    if name and others.data.get("runtime") == "ollama":
        raise ValueError("cannot be used: Ollama serves no reranker; leave it empty")
    return name


def _database_url(url: SecretStr) -> SecretStr:
    """Of a kind that is read here; the drivers and options are ours."""
    kind, _, rest = url.get_secret_value().partition("://")
    if kind == "sqlite" and rest.startswith("/") and rest.strip("/"):
        return url
    if kind in ("postgresql", "postgres") and rest:
        return url
    raise ValueError("is no such URL; write sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME")


class Database(BaseModel):
    """A database that requests may name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[SecretStr, AfterValidator(_database_url)]
    write: bool = False
    """Whether `/predict` may fill a column of it."""
    statement_seconds: float = Field(30, gt=0, le=3600)
    workspaces: tuple[str, ...] = ("default",)
    """Whose keys may name it; `*`: those of all."""


ROOT_PATH = r"(/[A-Za-z0-9._~-]+)*"
"""What a path prefix may look like."""

Listed = BeforeValidator(_listed)
AnyCase = BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)
Folder = Annotated[Path, BeforeValidator(_folder)]
TextTemplate = Annotated[str, AfterValidator(_template)]
Reranker = Annotated[str, AfterValidator(_served)]
Key = Annotated[SecretStr, AfterValidator(_sendable)]
RootPath = Annotated[str, AfterValidator(_root_path)]
HostNames = Annotated[tuple[Annotated[str, AfterValidator(_host_name)], ...], Listed]
Origins = Annotated[tuple[Annotated[str, AfterValidator(_origin)], ...], Listed]
Networks = Annotated[tuple[Annotated[str, AfterValidator(_network)], ...], Listed]
Trackers = Annotated[tuple[Annotated[Literal["mlflow", "wandb"], AnyCase], ...], Listed]
FileBounds = Annotated[Bounds, BeforeValidator(_object)]
DatabaseName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
Databases = Annotated[dict[DatabaseName, Database], BeforeValidator(_object)]
