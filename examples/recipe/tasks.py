"""Conversations of the second stage: JSON by a schema, and calls of functions, chosen or demanded."""

import json
from collections.abc import Sequence

from examples.recipe.functions import CANNOT, WORDS, Function, Functions, Request
from examples.recipe.prompts import forced_prompt
from examples.recipe.records import Records, compact
from examples.recipe.samples import Conversations, Message, Sample, turn


class Tasks(Conversations):
    """Draws conversations of the new kinds, and shorter ones of the old kinds."""

    questions = (1, 2, 4, 6)

    def __init__(self, seed: int | str, held_out: bool = False) -> None:
        super().__init__(seed, held_out)
        self.functions = Functions(self.writer.draw)
        self.records = Records(self.writer)

    def record(self, turns: int = 1, system: float = 0.3) -> Sample:
        """Texts and their JSON. The grammar begins it where the question does not say that it must be JSON."""
        messages = self._maybe_system(system)
        for _ in range(turns):
            asked = self.records.record()
            said = turn("assistant", asked.answer)
            if not asked.is_clear:
                said["given"] = '{"'
            messages += [turn("user", asked.question), said]
        return Sample("json", messages)

    def demanded(self) -> Sample:
        """A call that must be made, as the service asks for it: all functions in the system message."""
        r = self.random
        functions = self.functions.offered(r.choice((1, 1, 2)))
        system = [message["content"] for message in self._maybe_system(0.3)]
        request = self.functions.request(r.choice(functions))
        prompt = forced_prompt(system, [one.tool["function"] for one in functions])
        call = compact({"name": request.name, "arguments": request.arguments})
        return Sample(
            "forced call",
            [
                turn("system", prompt),
                turn("user", request.text),
                {**turn("assistant", call), "given": '{"name":"'},
            ],
        )

    def called(
        self,
        turns: int = 1,
        fits: float = 0.65,
        system: float = 0.4,
        *,
        offered: Sequence[int] = (1, 2, 2, 2, 3),
        ends_with_call: bool = False,
    ) -> Sample:
        """So many functions are offered, and one of them is called, or none when none fits."""
        r = self.random
        functions = self.functions.offered(r.choice(offered))
        known = r.random() < system
        persona, name, role, company = (
            self.persona() if known else ("", "", "a small assistant", "")
        )
        me = f"{name}, {role}" if known else role
        messages = [turn("system", persona)] if known else []
        for number in range(turns):
            if r.random() < fits:
                request = self.functions.request(r.choice(functions))
                is_last = number + 1 == turns
                messages += self._call(
                    request, ended=is_last and (ends_with_call or r.random() < 0.6)
                )
            else:
                messages += self._no_call(functions, me, name, company)
        return Sample("calls", messages, tuple(one.tool for one in functions))

    def _call(self, request: Request, *, ended: bool) -> list[Message]:
        function = {"name": request.name, "arguments": request.arguments}
        call: Message = {
            **turn("assistant", ""),
            "tool_calls": [{"type": "function", "function": function}],
        }
        messages = [turn("user", request.text), call]
        return messages if ended else messages + self._result()

    def _result(self) -> list[Message]:
        """What the function gives back, and how that is told."""
        r = self.random
        if r.random() < 0.3:
            state = r.choice(WORDS["results"])
            told = state if r.random() < 0.5 else json.dumps({"result": state})
            return [turn("tool", told), turn("assistant", f"The result is {state}.")]
        fact = self.writer.fact()
        noun, value = fact.attribute.noun, fact.value
        if r.random() < 0.5:
            told = json.dumps({noun.replace(" ", "_"): value}, ensure_ascii=False)
            return [turn("tool", told), turn("assistant", f"The {noun} is {value}.")]
        return [turn("tool", value), turn("assistant", f"The result is {value}.")]

    def _no_call(
        self, functions: list[Function], me: str, name: str, company: str
    ) -> list[Message]:
        r = self.random
        which = r.random()
        if which < 0.4:
            names = {one.name for one in functions}
            while (other := self.functions.offered(1)[0]).name in names:
                pass
            return [turn("user", self.functions.request(other).text), turn("assistant", CANNOT)]
        if which < 0.7:
            return self._greeting_turn(me, name, company)
        return self.unknown().messages[-2:]

    def draw_task(self) -> Sample:
        """A sample of the second stage."""
        r = self.random
        which = r.random()
        if which < 0.36:
            return self.draw(1.0)
        if which < 0.65:
            return self.record(r.choice((1, 2, 3, 4)))
        if which < 0.71:
            return self.demanded()
        return self.called(r.choice((1, 2, 3, 4)))
