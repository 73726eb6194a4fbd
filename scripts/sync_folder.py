"""Bring a folder of documents into a collection, and again whenever it has changed: only what is new or other is sent.

    python scripts/sync_folder.py manuals --collection manuals
    python scripts/sync_folder.py manuals --collection manuals --delete --url https://documents.example

New files are imported, changed ones replace what has their name; --delete deletes what is gone from the folder.
Run it again after any failure: what is there already is known by its hash. The key is read from LLM_FASTAPI_API_KEY.
Of files that get one name the first is sent, and the others fail; `"` and `\\` in a name become `_`.
Exits with 0 when the collection is what the folder is, 1 when single files failed, 2 when nothing could be done.
"""

import argparse
import hashlib
import os
import re
import sys
import time
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

import httpx2

from api.names import document_key

KEY = "LLM_FASTAPI_API_KEY"
PAGE = 1000
"""Documents asked for at once."""
TRIES = 5
"""Of one file, while the service says that it is busy."""


UNSENT = re.compile(r'["\\\x00-\x1f\x7f]')
"""Characters that the name of a file that is sent cannot have, or not keep."""


class Outcome(NamedTuple):
    """What became of a file or of a document: a word, its name, and the reason of a failure."""

    word: str
    name: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.word:<10}{self.name}" + (f": {self.reason}" if self.reason else "")


class Collection:
    """One collection of the service."""

    def __init__(self, client: httpx2.Client, name: str) -> None:
        self._client = client
        self._name = name

    def make(self) -> None:
        """Make it when it is not there."""
        answer = self._client.post("/collections", json={"name": self._name})
        if answer.status_code not in (201, 409):
            raise SystemExit(f"The collection cannot be made: {detail_of(answer)}")

    def documents(self) -> dict[str, tuple[str, str]]:
        """Name and hash of each document by what its name is compared by."""
        found: dict[str, tuple[str, str]] = {}
        after: dict[str, str] = {}
        while True:
            asked = {"collection": self._name, "limit": str(PAGE), **after}
            answer = self._client.get("/list_documents", params=asked)
            if answer.status_code != 200:
                raise SystemExit(f"The documents cannot be listed: {detail_of(answer)}")
            listed = answer.json()
            for one in listed["documents"]:
                found[document_key(one["name"])] = (one["name"], one["sha256"])
            if not listed["has_more"]:
                return found
            after = {"after": listed["documents"][-1]["id"]}

    def bring(self, path: Path, name: str) -> Outcome:
        """Import a file, in the place of what has its name."""
        asked = {"collection": self._name, "replace": "true"}
        for _ in range(TRIES):
            with path.open("rb") as file:
                answer = self._client.post(
                    "/importDocument", params=asked, files={"file": (name, file)}
                )
            if answer.status_code != 503:
                break
            time.sleep(float(answer.headers.get("Retry-After", 5)))
        if answer.status_code not in (200, 201):
            return Outcome("failed", name, detail_of(answer))
        document = answer.json()
        if document_key(document["name"]) != document_key(name):
            return Outcome("same", name, f"its bytes are there as {document['name']}")
        return Outcome("new" if answer.status_code == 201 else "replaced", name)

    def delete(self, name: str) -> Outcome:
        """Delete a document."""
        asked = {"collection": self._name, "document": name}
        answer = self._client.delete("/delete_document", params=asked)
        gone = answer.status_code in (200, 404)
        return Outcome("deleted", name) if gone else Outcome("failed", name, detail_of(answer))


def detail_of(answer: httpx2.Response) -> str:
    """Why the service refused something, in its words."""
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError):
        return f"status {answer.status_code}"


def files_in(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files, each with the name that its document gets; hidden ones are left out."""
    for path in sorted(_below(folder)):
        parts = path.relative_to(folder).parts
        if path.is_file() and not any(part.startswith(".") for part in parts):
            yield _document_name(parts), path


def _below(folder: Path) -> Iterator[Path]:
    """All in it: a folder that cannot be read is an error, and not empty."""

    def refuse(error: OSError) -> None:
        raise error

    for place, _, names in os.walk(folder, onerror=refuse):
        yield from (Path(place, name) for name in names)


def _document_name(parts: Sequence[str]) -> str:
    name = unicodedata.normalize("NFC", " - ".join(parts))
    return UNSENT.sub("_", name.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))


def hash_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def synced(
    collection: Collection, files: Sequence[tuple[str, Path]], *, delete: bool, at_once: int
) -> Iterator[Outcome]:
    """Make the collection what the folder is; what became of each file, as it is known."""
    there = collection.documents()
    if delete and there and not files:
        raise SystemExit(f"The folder is empty: none of the {len(there)} documents is deleted.")
    named: dict[str, tuple[str, Path]] = {}
    for name, path in files:
        first, _ = named.setdefault(document_key(name), (name, path))
        if named[document_key(name)] != (name, path):
            yield Outcome("failed", name, f"{str(path)!r} has the name of another file, {first}")
    if delete:  # first: a file that was renamed comes under its new name
        for key in sorted(there.keys() - named.keys()):
            yield collection.delete(there[key][0])
    with ThreadPoolExecutor(at_once) as pool:
        sent = [
            pool.submit(_brought, collection, path, name, there.get(key, ("", ""))[1])
            for key, (name, path) in named.items()
        ]
        for one in as_completed(sent):
            yield one.result()


def _brought(collection: Collection, path: Path, name: str, known_hash: str) -> Outcome:
    try:
        if known_hash and known_hash == hash_of(path):
            return Outcome("unchanged", name)
        return collection.bring(path, name)
    except OSError as error:
        return Outcome("failed", name, f"it cannot be read: {error.strerror}")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "folder", type=Path, help="with folders below: `a/b.pdf` becomes `a - b.pdf`"
    )
    parser.add_argument("--collection", required=True, help="its name; made when it is not there")
    parser.add_argument("--url", default="http://127.0.0.1:3000", help="of the service")
    parser.add_argument("--delete", action="store_true", help="delete what is gone from the folder")
    parser.add_argument("--at-once", type=int, default=4, metavar="N", help="files sent at once")
    return parser.parse_args()


def main() -> int:
    """Sync, a line a file, and the counts at the end."""
    wanted = arguments()
    if not wanted.folder.is_dir():
        print(f"There is no folder {wanted.folder}.", file=sys.stderr)
        return 2
    key = os.environ.get(KEY)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    counts: Counter[str] = Counter()
    timeout = httpx2.Timeout(30, read=None, write=None)  # an import answers when it is done
    try:
        with httpx2.Client(base_url=wanted.url, headers=headers, timeout=timeout) as client:
            collection = Collection(client, wanted.collection)
            collection.make()
            files = list(files_in(wanted.folder))
            for one in synced(collection, files, delete=wanted.delete, at_once=wanted.at_once):
                print(one, flush=True)
                counts[one.word] += 1
    except httpx2.HTTPError as error:
        print(f"The service at {wanted.url} does not answer: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"The folder cannot be read: {error}", file=sys.stderr)
        return 2
    except SystemExit as error:
        print(error, file=sys.stderr)
        return 2
    print(
        ", ".join(f"{count} {word}" for word, count in sorted(counts.items())) or "Nothing to do."
    )
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
