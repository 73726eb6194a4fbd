"""Lists what `extra` can name: every parameter of the pinned TRL, transformers and PEFT, with the types it takes.

python scripts/list_extra.py            print finetune/job/parameters/known.py
python scripts/list_extra.py --write    write it
"""

import dataclasses
import enum
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path

from peft import LoraConfig
from transformers import TrainingArguments
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.sft_config import SFTConfig

FILE = Path(__file__).resolve().parents[1] / "finetune" / "job" / "parameters" / "known.py"
NAMES = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    dict: "object",
    list: "array",
    type(None): "null",
}
HEAD = '''"""What `extra` can name, and which JSON types it takes: `scripts/list_extra.py` writes it."""

from collections.abc import Mapping

'''


def json_types(hint: typing.Any) -> Iterator[str]:
    """The JSON types that an annotation takes; of closed lists the values, quoted."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        parts = typing.get_args(hint)
        closed = [part for part in parts if isinstance(part, type) and issubclass(part, enum.Enum)]
        for part in parts:
            if not (closed and part is str):
                yield from json_types(part)
    elif origin is typing.Literal:
        yield from (
            f"'{value}'" if isinstance(value, str) else "boolean" for value in typing.get_args(hint)
        )
    elif isinstance(hint, type) and issubclass(hint, enum.Enum):
        yield from (f"'{member.value}'" for member in hint)
    else:
        yield NAMES.get(origin or hint, "object")


def table(config: typing.Any, without: frozenset[str] = frozenset()) -> dict[str, str]:
    """The fields of a configuration, each with its types."""
    hints = typing.get_type_hints(config)
    return {
        field.name: " ".join(
            sorted(set(json_types(hints[field.name])), key=lambda name: (name == "null", name))
        )
        for field in sorted(dataclasses.fields(config), key=lambda field: field.name)
        if field.init and field.name not in without
    }


def listed() -> str:
    """The file."""
    shared = table(TrainingArguments)
    names = frozenset(shared)
    tables = {
        "TRAINING": shared,
        "SFT": table(SFTConfig, names),
        "DPO": table(DPOConfig, names - {"label_smoothing"}),
        "LORA": table(LoraConfig),
    }
    parts = [HEAD]
    for name, fields in tables.items():
        parts.append(f"{name}: Mapping[str, str] = {{\n")
        for field, said in fields.items():
            line = f'    "{field}": "{said}",\n'
            parts.append(line if len(line) <= 100 else _broken(field, said))
        parts.append("}\n")
    return "".join(parts)


def _broken(field: str, said: str) -> str:
    lines, line = [], ""
    for word in said.split():
        if len(line) + len(word) > 80:
            lines.append(line)
            line = ""
        line += f"{word} "
    lines.append(line.rstrip())
    return f'    "{field}": ' + "\n    ".join(f'"{line}"' for line in lines) + ",\n"


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        FILE.write_text(listed(), "utf-8")
    else:
        sys.stdout.write(listed())
