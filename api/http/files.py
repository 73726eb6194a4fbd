"""A file as an answer that can be gone on with: ranges, and an entity tag that is the file's hash."""

import re

from fastapi import Request
from fastapi.responses import FileResponse, Response

from api.errors import ApiError
from api.http.problems import Respond, problem_response

_RANGE = re.compile(r"\s*bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", re.IGNORECASE)


class RangeUnsatisfiable(ApiError):
    """The part that is asked for lies beyond the file."""

    status = 416
    title = "No such part"


def file_response(
    request: Request,
    path: str,
    name: str,
    size: int,
    sha256: str | None,
    respond: Respond = problem_response,
) -> Response:
    """The file, a part of it (206), that it is the known one (304), or that there is no such part (416, as `respond`
    writes it).

    A range that cannot be read, or that asks for several parts, is as not sent, which RFC 9110 allows.
    """
    headers = {"ETag": f'"{sha256}"'} if sha256 else {}
    known = [tag.strip() for tag in request.headers.get("if-none-match", "").split(",")]
    if sha256 and (f'"{sha256}"' in known or f'W/"{sha256}"' in known):
        return Response(status_code=304, headers=headers)
    wished = request.headers.get("range")
    if wished is not None and _is_current(request, headers.get("ETag")):
        part = _RANGE.fullmatch(wished)
        first, last = (part[1], part[2]) if part else ("", "")
        if not first + last or _is_backwards(first, last):
            _forget(request, "range")
        elif _is_beyond(first, last, size):
            refused = RangeUnsatisfiable(
                f"The file has {size} bytes, and no part of it is {wished.strip()[:100]}."
            )
            return respond(refused.as_problem(), headers | {"Content-Range": f"bytes */{size}"})
    return FileResponse(path, filename=name, headers=headers)


def _is_current(request: Request, tag: str | None) -> bool:
    condition = request.headers.get("if-range")
    return condition is None or condition == tag


def _is_backwards(first: str, last: str) -> bool:
    return bool(first and last) and int(last) < int(first)


def _is_beyond(first: str, last: str, size: int) -> bool:
    return int(first) >= size if first else int(last) == 0


def _forget(request: Request, name: str) -> None:
    kept = [(key, value) for key, value in request.scope["headers"] if key != name.encode()]
    request.scope["headers"] = kept
