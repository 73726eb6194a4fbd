"""What a running service says of folders that do not belong to its database."""

from pathlib import Path

import pytest

from tests.data_folder.place import MORE, Place
from tests.service import open_service


@pytest.mark.anyio
async def test_readyz_names_what_does_not_belong_together_and_the_service_works(
    place: Place, tmp_path: Path
) -> None:
    await place.add(0)
    place.settings.database_path.unlink()
    with open_service(place.folder) as service:
        answer = service.client.get("/readyz")
        assert answer.status_code == 200
        hints = " ".join(answer.json()["hints"])
        assert "documents/ and the database do not belong together" in hints
        assert "jobs/ and the database do not belong together" in hints
        assert "`llm-fastapi doctor` says what to do" in hints
        file = {"file": ("1.pdf", MORE[1])}
        imported = service.client.post("/importDocument", params={"modelName": "demo"}, files=file)
        assert imported.status_code == 201
    assert len(place.kept()) == 3
    assert place.lost() == set()
    with open_service(tmp_path / "other") as service:
        ready = service.client.get("/readyz").json()
        assert not any("belong" in hint for hint in ready["hints"])
        assert ready["embedder"].startswith(
            "all-minilm-l6-v2-int8, as minilm: questions as '{text}'"
        )
