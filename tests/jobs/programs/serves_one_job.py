"""An API without HTTP over DATA_DIR: submits a job when there is none, and ends when it has settled.

With `export` it also has a checkpoint of that job published beside it, when no job does so.
"""

import asyncio
import json
import sys
from pathlib import Path

from api.jobs.doctor import examine
from api.runtime import ModelSource, Persona
from tests.fakes import FakeRuntime
from tests.jobs.workshop import Workshop


class KeptRuntime(FakeRuntime):
    """A fake whose models outlive its process."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        for name in json.loads(path.read_text()) if path.exists() else []:
            self._put(name, 4096, {"chat"})

    async def create_model(
        self, name: str, source: ModelSource, persona: Persona, *, replace: bool = False
    ) -> None:
        """Create a model and keep it."""
        await super().create_model(name, source, persona, replace=replace)
        await self._keep()

    async def rename(self, name: str, new_name: str) -> None:
        """Rename a model and keep it."""
        await super().rename(name, new_name)
        await self._keep()

    async def delete_model(self, name: str) -> None:
        """Delete a model and keep nothing of it."""
        await super().delete_model(name)
        await self._keep()

    async def _keep(self) -> None:
        names = [model.name for model in await self.models() if "chat" in model.capabilities]
        self._path.write_text(json.dumps(names))


async def main(folder: Path, is_exporting: bool) -> None:
    """Bring one job to its end and print what is there then."""
    runtime = KeptRuntime(folder / "kept.json")
    async with Workshop(folder, runtime=runtime) as shop:
        jobs = shop.store.jobs.all()
        first = next((one for one in jobs if one.model_name == "tuned"), None)
        job = await shop.until(first or await shop.submit("tuned"))
        if is_exporting:
            other = next((one for one in jobs if one.id != job.id), None)
            job = await shop.until(
                other or await shop.submitter.export(shop.directory(job), 1, "tuned-1")
            )
        record = shop.store.models.get(job.model_name)
        facts = {
            "jobs": len(shop.store.jobs.all()),
            "status": job.status,
            "error": job.error,
            "texts_equal": (job.gate or {}).get("texts_equal"),
            "models": json.loads((folder / "kept.json").read_text()),
            "job_of_model": record.job_id == job.id if record else None,
            "findings": examine(shop.store, shop.folder, repair=False),
        }
    print(json.dumps(facts))  # noqa: T201


asyncio.run(main(Path(sys.argv[1]), "export" in sys.argv[2:]))
