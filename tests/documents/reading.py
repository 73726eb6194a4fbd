"""One document, read by a server of its own."""

from pathlib import Path

from api.documents import extract as extracting
from api.documents.extract import Bounds, open_server
from api.store.contents import Extracted


async def extract(
    file: Path, bounds: Bounds, kind: str = "pdf", *, password: str = ""
) -> Extracted:
    """Read it, and end the server."""
    server = open_server()
    try:
        return await extracting.extract(server, file, bounds, kind, password=password)
    finally:
        await server.close()
