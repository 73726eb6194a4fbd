"""What OpenAI's clients call a fine-tune, `ft:BASE:ORG:SUFFIX:ID`: another name of the model that job ID has published.

ORG is the workspace. Models are listed, recorded and allowed to keys by their plain names alone.
"""

from anyio.to_thread import run_sync

from api.store import Store
from api.store.jobs import Job

MARK = "ft:"


def alias_of(job: Job) -> str:
    """What the model of a job is called."""
    suffix = job.spec.get("suffix") or ""
    return f"{MARK}{job.base_model}:{job.workspace}:{suffix}:{job.id}"


async def plain_name(store: Store, name: str) -> str:
    """The name under which a model of the store's workspace is listed; what is no alias of one stays as it is.

    It is told by base, workspace and job; the suffix is for people.
    """
    if not name.startswith(MARK):
        return name
    record = await run_sync(store.models.made_by, name.rpartition(":")[2])
    is_it = record and name.startswith(f"{MARK}{record.base}:{store.jobs.workspace}:")
    return record.name if record and is_it else name
