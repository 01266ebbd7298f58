"""The tool `ask_person`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from workers.tools.base import Question, QuestionAskedError, ToolContext, ToolError, ToolResult
from workers.tools.own_tool import own_tool

_TYPES: Final[dict[str, dict[str, Any]]] = {
    "text": {"type": "string", "maxLength": 2000},
    "long_text": {"type": "string", "maxLength": 10_000, "format": "multiline"},
    "number": {"type": "number"},
    "yes_or_no": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
}


@dataclass(frozen=True, slots=True)
class FormField:
    """A field of the form."""

    name: Annotated[str, Meta(description="Letters, digits and _.", pattern=r"^[a-zA-Z][a-zA-Z0-9_]{0,39}$")]
    label: Annotated[str, Meta(description="What the person reads at the field.", min_length=1, max_length=200)]
    kind: Annotated[
        Literal["text", "long_text", "number", "yes_or_no", "date", "choice"],
        Meta(description="What is entered."),
    ] = "text"
    choices: Annotated[list[str], Meta(description="What can be chosen; of the kind choice only.", max_length=30)] = (
        field(default_factory=list)
    )
    required: bool = True

    def schema(self) -> dict[str, Any]:
        """The field as a JSON schema. Raises `ToolError`."""
        if self.kind != "choice":
            return {**_TYPES[self.kind], "title": self.label}
        choices = list(dict.fromkeys(choice.strip()[:200] for choice in self.choices if choice.strip()))
        if not choices:
            raise ToolError(f"The field {self.name} needs choices.")
        return {"type": "string", "title": self.label, "enum": choices}


@dataclass(frozen=True, slots=True)
class AskPerson:
    """Asks the person with a short form and waits for the answer, perhaps for hours.

    Use it only when you cannot go on without something that only the person knows, and ask for all of it at once. To
    ask in passing, write the question in your answer instead. Never ask for passwords or keys.
    """

    question: Annotated[str, Meta(description="One or two sentences.", min_length=1, max_length=1000)]
    fields: Annotated[
        list[FormField], Meta(description="The fields of the form. Empty: one field for text.", max_length=10)
    ] = field(default_factory=list)

    async def run(self, context: ToolContext) -> ToolResult:
        if not context.answers:
            raise QuestionAskedError(Question(self.question, self.schema()))
        given = {name: value for name, value in context.answers[-1].items() if value not in (None, "")}
        if not given:
            return ToolResult("The person gave no answer.")
        labels = {one.name: one.label for one in self.fields}
        names = [
            *filter(given.__contains__, labels),
            *(name for name in given if name not in labels),
        ]  # as they were asked
        return ToolResult("\n".join(f"{labels.get(name, name)}: {_show(given[name])}" for name in names))

    def schema(self) -> dict[str, Any]:
        """The form as a JSON schema of a flat object. Raises `ToolError`."""
        fields = self.fields or [FormField("answer", "Answer", "long_text")]
        if len({one.name for one in fields}) < len(fields):
            raise ToolError("Each field needs a name of its own.")
        return {
            "type": "object",
            "properties": {one.name: one.schema() for one in fields},
            "required": [one.name for one in fields if one.required],
        }


def _show(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)[:10_000]


TOOL: Final = own_tool(AskPerson, title="Ask a question")
