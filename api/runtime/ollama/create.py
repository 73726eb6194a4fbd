"""Makes models in Ollama: personas over a model that is there, and models of GGUF files."""

import logging
from typing import Any

from api.errors import Unusable
from api.names import CHECKING
from api.runtime import EncoderFile, GGUFFile, Persona
from api.runtime.gguf import Header, check_projector, read_header
from api.runtime.ollama.client import OllamaClient
from api.runtime.ollama.models import OllamaModel
from api.runtime.ollama.parameters import NO_PENALTY, as_parameters
from api.runtime.ollama.template import derive
from api.runtime.ollama.upload import upload
from api.runtime.options import check_options
from api.runtime.personas import inherited
from api.runtime.threads import in_thread

logger = logging.getLogger(__name__)


def check_template(template: str | None) -> None:
    """`Unusable` for a template of the other kind; whether it parses, the server says."""
    if template and "{%" in template:
        raise Unusable(
            "The chat template is a Jinja template, and Ollama reads Go templates, such as "
            "{{ range .Messages }}{{ .Content }}{{ end }}."
        )


async def create_from_model(
    client: OllamaClient, name: str, base: OllamaModel, persona: Persona
) -> None:
    """A persona over a model. What it does not set, Ollama takes from the base."""
    whole = inherited(persona, base.info.persona)
    check_options(whole.parameters, base.info.context_length)
    parameters = as_parameters(persona.parameters, base.marks)
    await client.create(name, {"from": base.name, **_persona(persona), "parameters": parameters})
    await _require_template(client, name, persona)


async def create_from_file(
    client: OllamaClient, name: str, source: GGUFFile | EncoderFile, persona: Persona
) -> None:
    """A model of a GGUF file, with the prompts that the file's chat template writes where they can be had, and with
    its projector.
    """
    if not source.path.is_file():
        raise Unusable("There is no such GGUF file.")
    header = await in_thread(read_header, source.path)
    files = {"model.gguf": source.path}
    if isinstance(source, GGUFFile) and source.projector:
        await in_thread(check_projector, source.projector)
        files["projector.gguf"] = source.projector
    check_options(persona.parameters, header.context_length)
    body = {**await _wording(header, persona), **_persona(persona)}
    body["files"] = {file: await upload(client, path) for file, path in files.items()}
    await client.create(name, body)
    await _require_template(client, name, persona)
    if header.template and "template" not in body:
        template = (await client.show(name)).get("template")
        if template != header.template:
            logger.warning(
                "Ollama gave model %r a chat template of its own; its prompts may differ from "
                "those of the file",
                name.removesuffix(CHECKING),
            )


async def _require_template(client: OllamaClient, name: str, persona: Persona) -> None:
    """`Unusable` when the model does not use the template that it must have: Ollama prefers the file's where that can
    do more, and says nothing.
    """
    if persona.template and (await client.show(name)).get("template") != persona.template:
        raise Unusable(
            "Ollama uses the chat template of the model's file, which knows tools or thinking, and not this "
            "one, which does not. Leave the template out, or give one that does."
        )


async def _wording(header: Header, persona: Persona) -> dict[str, Any]:
    """Template and parameters of a new model. Before 0.32.10 Ollama punishes repetition where nothing is said of it,
    and a model speaks otherwise than it was trained to.
    """
    if header.embeds:
        return {"parameters": as_parameters(persona.parameters)}
    form = None if persona.template else await in_thread(derive, header)
    marks = form.stops if form else ()
    parameters = {"repeat_penalty": NO_PENALTY, **as_parameters(persona.parameters, marks)}
    if marks:
        parameters.setdefault("stop", list(marks))
    return {"parameters": parameters, **({"template": form.go_template} if form else {})}


def _persona(persona: Persona) -> dict[str, Any]:
    texts = {"system": persona.system, "template": persona.template}
    return {name: text for name, text in texts.items() if text}
