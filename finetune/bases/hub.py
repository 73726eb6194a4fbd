"""Downloads of the Hugging Face hub: listed with sizes and hashes, resumed where they broke off, verified.

`huggingface_hub.snapshot_download` throws a partial file away when its process ends; a model of many gigabytes
needs to go on where it was, so files are fetched here with the library's `http_get`, which can.
"""

import functools
import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import http_get

from finetune.job.directory import sha256_of
from finetune.job.files import sync_folder
from finetune.job.stage import StageFailed
from finetune.preflight.room import gib

PARTIAL = ".part"
WAITS = (2, 5, 15, 30, 60)
"""Seconds before another attempt, counted anew whenever bytes have come."""
REQUEST_SECONDS = 30
PROGRESS_SECONDS = 5.0
_PASSING = {408, 425, 429, 500, 502, 503, 504}

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a repository. `sha256` is known of large files, `blob`, git's hash, of the others."""

    name: str
    size: int
    sha256: str | None
    blob: str | None


@dataclass(frozen=True, slots=True)
class Repository:
    """What a repository holds at one commit, by name."""

    id: str
    commit: str
    files: dict[str, RemoteFile]


class Hub:
    """The hub that HF_ENDPOINT names, asked with the token in HF_TOKEN and no other."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._token = os.environ.get("HF_TOKEN")

    def repository(self, id: str, revision: str | None) -> Repository:
        """List a repository. Raises `StageFailed`."""
        try:
            info = HfApi(token=self._token or False).model_info(
                id, revision=revision, files_metadata=True, timeout=REQUEST_SECONDS
            )
        except OfflineModeIsEnabled as error:
            raise StageFailed(
                "Offline", "HF_HUB_OFFLINE forbids downloads. Unset it, or use --from-dir."
            ) from error
        except HfHubHTTPError as error:
            raise _refusal(error, id) from error
        except httpx2.HTTPError as error:
            raise _unreachable(error) from error
        except ValueError as error:
            raise StageFailed("Not a repository", f"{id!r}: {error}") from error
        files = {
            one.rfilename: RemoteFile(
                one.rfilename, one.size or 0, one.lfs.sha256 if one.lfs else None, one.blob_id
            )
            for one in info.siblings or ()
        }
        return Repository(id, info.sha or "main", files)

    def missing_bytes(self, file: RemoteFile, folder: Path) -> int:
        """How much of a file has yet to come into the folder."""
        here = max(_size(folder / file.name), _size(folder / f"{file.name}{PARTIAL}"))
        return max(0, file.size - here)

    def fetch(self, repository: Repository, file: RemoteFile, folder: Path) -> None:
        """Bring a file into the folder, unless it is there. What comes is kept, whatever happens; a call
        later goes on from it. Raises `StageFailed`.
        """
        target, partial = folder / file.name, folder / f"{file.name}{PARTIAL}"
        if target.is_file() and target.stat().st_size == file.size:
            return
        waits = iter(WAITS)
        while True:
            before = _size(partial)
            try:
                self._get(repository, file, partial)
                break
            except ValueError as error:
                raise StageFailed("Not downloadable", f"{file.name}: {error}") from error
            except (httpx2.HTTPError, OSError) as error:
                if _size(partial) > before:
                    waits = iter(WAITS)
                wait = next(waits, None) if _may_pass(error) else None
                if wait is None:
                    raise _as_ours(error, repository, file) from error
                self._say(f"{file.name}: {_in_short(error)}. Trying again in {wait} s.")
                time.sleep(wait)
        _verify(partial, file)
        partial.replace(target)
        sync_folder(folder)

    def _get(self, repository: Repository, file: RemoteFile, partial: Path) -> None:
        if _size(partial) > file.size:
            partial.unlink()
        headers = {"accept-encoding": "identity", "user-agent": "llm-fastapi"}
        if self._token:  # a redirect to another host does not carry it along
            headers["authorization"] = f"Bearer {self._token}"
        with partial.open("ab") as target:
            http_get(
                hf_hub_url(repository.id, file.name, revision=repository.commit),
                target,
                resume_size=_size(partial),
                headers=headers,
                expected_size=file.size,
                displayed_filename=file.name,
                tqdm_class=functools.partial(_Progress, self._say, file),  # type: ignore[arg-type]
            )
            target.flush()
            os.fsync(target.fileno())


class _Progress:
    """Lines instead of a bar, so that a container's log can be read; the part of tqdm that `http_get` uses."""

    def __init__(self, say: Say, file: RemoteFile, *, initial: int = 0, **_: object) -> None:
        self._say, self._name, self._total = say, file.name, file.size
        self._done = self._begun_at = initial
        self._started = self._said = time.monotonic()

    def __enter__(self) -> "_Progress":
        if self._begun_at:
            self._say(f"{self._name}: going on at {gib(self._begun_at)}")
        return self

    def __exit__(self, *_: object) -> None:
        if self._done >= self._total:
            self._line()

    def update(self, count: int) -> None:
        """More bytes; fewer when the server made it begin again."""
        self._done += count
        if time.monotonic() - self._said >= PROGRESS_SECONDS:
            self._line()

    def _line(self) -> None:
        self._said = time.monotonic()
        speed = (self._done - self._begun_at) / max(self._said - self._started, 1e-3) / 1e6
        percent = 100 * self._done // max(self._total, 1)
        self._say(
            f"{self._name}: {gib(self._done)} of {gib(self._total)} ({percent} %, {speed:.0f} MB/s)"
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _verify(path: Path, file: RemoteFile) -> None:
    if file.sha256 is not None:
        is_right = sha256_of(path) == file.sha256
    elif file.blob is not None:
        content = path.read_bytes()
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
        is_right = blob.hexdigest() == file.blob
    else:
        is_right = path.stat().st_size == file.size
    if not is_right:
        path.unlink()
        raise StageFailed(
            "Download damaged",
            f"{file.name} has not the hash that the hub names and was removed. Run it again.",
        )


def _may_pass(error: Exception) -> bool:
    """Whether the same request can succeed in a minute."""
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in _PASSING
    if isinstance(error, OSError):
        return error.errno is None  # http_get: too few bytes came
    return not isinstance(error, httpx2.UnsupportedProtocol)


def _as_ours(error: Exception, repository: Repository, file: RemoteFile) -> Exception:
    if isinstance(error, HfHubHTTPError):
        return _refusal(error, repository.id)
    if isinstance(error, OSError) and error.errno is not None:
        return error
    return StageFailed(
        "Download broke off",
        f"{file.name}: {_in_short(error)}. What came is kept: run the same command again.",
    )


def _refusal(error: HfHubHTTPError, id: str) -> StageFailed:
    """What the hub's answer means for the one who asked."""
    status = error.response.status_code
    if isinstance(error, GatedRepoError):
        return _locked(id)
    if isinstance(error, RevisionNotFoundError):
        return StageFailed("No such revision", f"{id} has no such revision on the hub.")
    if isinstance(error, RemoteEntryNotFoundError):
        return StageFailed("File gone", f"{id} changed while it was read. Run the command again.")
    if isinstance(error, RepositoryNotFoundError) or status == 404:
        return StageFailed(
            "No such model",
            f"The hub shows no model {id!r}. Check its name; a private one needs HF_TOKEN.",
        )
    if status in (401, 403):
        return _locked(id)
    return StageFailed("The hub fails", f"It answers {status}. Run the same command again later.")


def _locked(id: str) -> StageFailed:
    return StageFailed(
        "Not allowed",
        f"{id} is gated or private: accept its licence at https://huggingface.co/{id}, then set HF_TOKEN to a "
        "token of that account (https://huggingface.co/settings/tokens) and run the command again.",
    )


def _unreachable(error: Exception) -> StageFailed:
    return StageFailed(
        "Hub not reachable",
        f"{_in_short(error)}. Check network and proxy (HTTPS_PROXY, HF_ENDPOINT), or use --from-dir.",
    )


def _in_short(error: Exception) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0].rstrip(".")
