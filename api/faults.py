"""Named points where a test may kill the process: `LLM_FASTAPI_FAULT=name[:n]` ends it at the n-th pass.

Nothing happens without the variable. A test checks that every name is reached by some test.
"""

import os

NAMES = (
    "import_row_added",
    "import_file_kept",
    "import_pages_stored",
    "import_chunks_stored",
    "import_vectors_stored",
    "import_marked_ready",
    "replace_switched",
    "reembed_added",
    "reembed_standing_by",
    "reembed_switched",
    "delete_marked",
    "delete_vectors_removed",
    "delete_file_removed",
    "batch_placed",
    "batch_checked",
    "batch_row_written",
    "batch_files_named",
    "batch_file_made",
    "batch_ended",
    "table_placed",
    "predict_placed",
    "predict_row_kept",
    "predict_rows_written",
    "predict_ended",
    "job_placed",
    "job_added",
    "job_claimed",
    "job_trained",
    "publish_created",
    "publish_recorded",
    "publish_renamed",
)

_wanted, _, _pass = os.environ.get("LLM_FASTAPI_FAULT", "").partition(":")
_left = {_wanted: int(_pass or 1)}


def point(name: str) -> None:
    """Die here when asked to."""
    if name in _left:
        _left[name] -= 1
        if _left[name] == 0:
            os._exit(137)
