"""What a request for a response says, and how the response says it again."""

from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from api.names import MAX_NAME_CHARACTERS
from api.routes.openai.body import Unsupported, refuse
from api.routes.openai.formats import PlainText, TextFormat, schema_of
from api.routes.openai.metadata import Metadata
from api.routes.openai.responses.choices import Choice, FunctionTool, Plan, Tool, planned
from api.routes.openai.responses.items import MAX_ITEMS, Id, InputItem
from api.routes.openai.sampling import Effort, Sampling, Variables, thinks
from api.routes.openai.tools import MAX_TOOLS
from api.runtime import ModelInfo, Options

JSON = dict[str, Any]
UNSUPPORTED = {
    "background": Unsupported("A response is made while its request is open.", (False,)),
    "context_management": Unsupported("A conversation is told to the model as it is.", ([],)),
    "conversation": Unsupported("Go on with `previous_response_id`, or send all items."),
    "moderation": Unsupported("Nothing is moderated here."),
    "prompt": Unsupported("No prompts are kept here. Send `input` and `instructions`."),
    "truncation": Unsupported(
        "A conversation is told to the model whole, or refused.", ("disabled",)
    ),
}
"""What changes no answer is ignored instead: `service_tier`, `prompt_cache_key`, `stream_options` and the like."""
Included = Literal[
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
]
SENT_AS = {
    "max_tokens": "max_output_tokens",
    "logprobs": "top_logprobs",
    "messages": "input",
    "response_format": "text.format",
}
"""Options, and the members by which a request for a response has them."""


class TextOptions(BaseModel):
    """The form of what is said."""

    format: TextFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class ReasoningOptions(BaseModel):
    """Whether a model thinks first; nobody sums up what it thinks, which is told as it is."""

    effort: Effort | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None


class ResponseRequest(Sampling):
    """What is said to a model, or goes on with what was said, and how to answer it."""

    model: str = Field(min_length=1, max_length=MAX_NAME_CHARACTERS)
    input: (
        str | Annotated[list[InputItem], Field(fail_fast=True, min_length=1, max_length=MAX_ITEMS)]
    )
    instructions: str | None = None
    previous_response_id: Id | None = None
    store: bool = True
    max_output_tokens: int | None = Field(None, ge=1, le=1_000_000)
    max_tool_calls: int | None = Field(None, ge=1)
    include: Annotated[list[Included], Field(fail_fast=True)] = Field(
        default_factory=list, max_length=32
    )
    top_logprobs: int | None = Field(None, ge=0, le=20)
    text: TextOptions = Field(default_factory=TextOptions)
    tools: Annotated[list[Tool], Field(fail_fast=True)] = Field(
        default_factory=list, max_length=MAX_TOOLS
    )
    tool_choice: Choice | None = None
    parallel_tool_calls: bool = True
    reasoning: ReasoningOptions = Field(default_factory=ReasoningOptions)
    metadata: Metadata = Field(default_factory=dict)
    user: str | None = None
    variables: Variables

    def plan(self) -> Plan:
        """What is done with the tools."""
        return planned(self.tools, self.tool_choice)

    def options(self, plan: Plan) -> Options:
        """As the runtimes take them."""
        if self.text.verbosity not in (None, "medium"):
            raise refuse(
                "text.verbosity", "Ask for it in the instructions, or set max_output_tokens."
            )
        tools, choice = plan.functions
        wants_logprobs = "message.output_text.logprobs" in self.include
        return replace(
            self.sampled(),
            max_tokens=self.max_output_tokens,
            logprobs=(self.top_logprobs or 0) if wants_logprobs or self.top_logprobs else None,
            json_schema=schema_of(self.text.format),
            tools=tools,
            tool_choice=choice,
            parallel_tool_calls=self.parallel_tool_calls if tools else None,
            think=thinks(self.reasoning.effort),
        )

    def said_again(self, model: ModelInfo) -> JSON:
        """The members of a response that say what was asked for. A temperature that neither the request nor the
        persona sets is the runtime's own, and null.
        """
        chosen = self.sampled().over(model.persona.parameters)
        again: JSON = {
            "model": model.name,
            "instructions": self.instructions,
            "previous_response_id": self.previous_response_id,
            "store": self.store,
            "background": False,
            "truncation": "disabled",
            "service_tier": "default",
            "temperature": chosen.temperature,
            "top_p": chosen.top_p,
            "presence_penalty": chosen.presence_penalty or 0.0,
            "frequency_penalty": chosen.frequency_penalty or 0.0,
            "max_output_tokens": self.max_output_tokens,
            "max_tool_calls": self.max_tool_calls,
            "top_logprobs": self.top_logprobs or 0,
            "parallel_tool_calls": self.parallel_tool_calls,
            "tools": [_tool(one) for one in self.tools],
            "tool_choice": _choice(self.tool_choice),
            "text": {"format": _format(self.text.format), "verbosity": "medium"},
            "reasoning": {"effort": self.reasoning.effort, "summary": None},
            "metadata": self.metadata,
        }
        return again if self.user is None else {**again, "user": self.user}


def _tool(tool: Tool) -> JSON:
    if isinstance(tool, FunctionTool):
        return {**tool.model_dump(), "strict": tool.strict is not False}
    return tool.model_dump(exclude_none=True)


def _choice(choice: Choice | None) -> JSON | str:
    if isinstance(choice, BaseModel):
        return choice.model_dump()
    return choice or "auto"


def _format(form: TextFormat | None) -> JSON:
    said = form or PlainText(type="text")
    return said.model_dump(by_alias=True, exclude_none=True)
