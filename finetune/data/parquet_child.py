"""The process that reads one Parquet file: run by path, within limits, in an environment that holds nothing.

    python -I parquet_child.py FILE

Writes the names of the columns, then {"row": ...} for each row, as JSON Lines; on what cannot be read {"error": ...}.
"""

import base64
import datetime
import decimal
import json
import sys
from pathlib import Path
from typing import Any

BATCH_ROWS = 1000


def _plain(value: Any) -> Any:
    """Of what JSON does not know, the usual text."""
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)


def main(path: Path) -> int:
    """Write what the file holds."""
    import pyarrow
    from pyarrow import parquet

    pyarrow.set_cpu_count(1)

    def say(message: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(message, default=_plain) + "\n")

    try:
        file = parquet.ParquetFile(path, memory_map=True)
        names = file.schema_arrow.names
        say({"columns": names})
        for batch in file.iter_batches(batch_size=BATCH_ROWS, use_threads=False):
            for row in batch.to_pylist(maps_as_pydicts="lossy"):
                say({"row": row})
    except BrokenPipeError:
        return 0
    except (pyarrow.ArrowException, OSError, ValueError, MemoryError) as error:
        say({"error": str(error).strip().splitlines()[0][:300].rstrip(".") if str(error) else type(error).__name__})
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
