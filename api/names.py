"""What a name may look like and what names are compared by."""

import re
import unicodedata
from collections.abc import Mapping

from api.errors import InvalidName

CHECKING = "--checking"
"""Ending of a model that is being checked before it gets its real name; never listed."""

FOR_ALL = "*"
"""Name of the collection that every model can be asked about; no model can have it."""

WORKSPACE = "default"
"""The workspace that is there from the start: of the caller without a key, and of the key of the settings."""

MAX_NAME_CHARACTERS = 200

ENDINGS: Mapping[str, str] = {
    ".pdf": "pdf",
    ".docx": "docx",
    ".docm": "docx",
    ".dotx": "docx",
    ".pptx": "pptx",
    ".pptm": "pptx",
    ".ppsx": "pptx",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".md": "md",
    ".markdown": "md",
    ".txt": "txt",
    ".text": "txt",
    ".csv": "csv",
    ".tsv": "csv",
    ".epub": "epub",
}
"""The endings of file names that say what kind of document it is."""
KINDS = tuple(dict.fromkeys(ENDINGS.values()))
"""The kinds of documents; each is also the ending under which its files are kept."""

# with the ending of a model that is being checked it stays within the 80 characters of Ollama
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,69}(:[A-Za-z0-9][A-Za-z0-9._-]{0,79})?")
_WORKSPACE = re.compile(r"[a-z0-9](-?[a-z0-9]){0,39}")
_OF_WORKSPACE = re.compile(r"ws-([a-z0-9-]+)/(.+)")
_COLLECTION_ID = re.compile(r"col_[0-9a-f]{16}")
_DOCUMENT_ID = re.compile(r"doc_[0-9a-f]{16}")


def valid_model_name(name: str) -> str:
    """The name without a `:latest` tag, else `errors.InvalidName`."""
    if not _MODEL_NAME.fullmatch(name) or name.endswith(CHECKING):
        raise InvalidName(
            "A model name has 1 to 70 letters, digits, dots, dashes and underscores and begins with "
            f"a letter or digit; {CHECKING!r} at its end is reserved.",
            where="modelName",
        )
    return name.removesuffix(":latest")


def valid_workspace(name: str) -> str:
    """The name of a workspace, else `errors.InvalidName`: it stands in the names of its models."""
    if not _WORKSPACE.fullmatch(name):
        raise InvalidName(
            "A workspace's name has 1 to 40 small letters and digits, with single dashes between them.",
            where="workspace",
        )
    return name


def runtime_name(workspace: str, name: str) -> str:
    """What the runtime calls a workspace's own model: that of the first one by its name, any other `ws-ID/NAME`.

    No name of a user's has a slash, and the runtimes allow one.
    """
    return name if workspace == WORKSPACE else f"ws-{workspace}/{name}"


def in_workspace(name: str) -> tuple[str, str]:
    """The workspace of a model and what it is called there, by the runtime's name for it."""
    found = _OF_WORKSPACE.fullmatch(name.lower())
    return (found[1], name[found.start(2) :]) if found else (WORKSPACE, name)


def valid_collection_name(name: str) -> str:
    """The name as it will be listed, else `errors.InvalidName`. No id can be a name."""
    if (
        not name.strip()
        or len(name) > MAX_NAME_CHARACTERS
        or not name.isprintable()
        or "/" in name
        or _COLLECTION_ID.fullmatch(name)
        or name in {".", "..", FOR_ALL}
    ):
        raise InvalidName(
            f"A collection's name has 1 to {MAX_NAME_CHARACTERS} printable characters and no slash; "
            f"{FOR_ALL!r} is the collection for all models, and an id like col_0123456789abcdef is no name.",
            where="name",
        )
    return name.strip()


def valid_document_name(name: str) -> str:
    """The name as it will be listed, else `errors.InvalidName`. Data only: it never becomes a path."""
    bare = name.replace("\\", "/").rpartition("/")[2]
    if (
        not bare.strip()
        or bare in {".", ".."}
        or len(bare) > MAX_NAME_CHARACTERS
        or not bare.isprintable()
    ):
        raise InvalidName(
            f"A document's file name has 1 to {MAX_NAME_CHARACTERS} printable characters.",
            where="file",
        )
    return bare


def is_document_id(name: str) -> bool:
    """Whether it looks like the id of a document."""
    return _DOCUMENT_ID.fullmatch(name) is not None


def model_key(name: str) -> str:
    """What model names are compared by: as the runtimes do, without case and `:latest`."""
    return name.lower().removesuffix(":latest")


def collection_key(name: str) -> str:
    """What collection names are compared by; a model's default collection has the model's key."""
    return model_key(unicodedata.normalize("NFC", name))


def document_ending(name: str) -> str:
    """The ending of a document's name where it says a kind, in small letters; else nothing."""
    ending = f".{name.rpartition('.')[2].lower()}"
    return ending if ending in ENDINGS and len(name) > len(ending) else ""


def bare_name(name: str) -> str:
    """A document's name without the ending that says its kind."""
    return name[: len(name) - len(document_ending(name))]


def document_key(name: str) -> str:
    """What document names are compared by: NFC, without `.pdf`; the case of other endings does not matter."""
    normalised = unicodedata.normalize("NFC", name)
    return bare_name(normalised) + document_ending(normalised).replace(".pdf", "")
