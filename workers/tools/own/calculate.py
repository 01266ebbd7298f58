"""The tool `calculate`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from msgspec import Meta

from workers.tools.arithmetic import MAX_EXPRESSION, ArithmeticFailure, calculate
from workers.tools.base import ToolContext, ToolError, ToolResult
from workers.tools.own_tool import own_tool


@dataclass(frozen=True, slots=True)
class Calculate:
    """Calculates exactly. Use it for every calculation that is not trivial.

    It knows + - * / // % and ^ or ** for powers, parentheses, pi and e, and the functions abs, ceil, comb, cos,
    degrees, exp, factorial, floor, gcd, log (natural, or to a base), log10, log2, max, min, radians, round, sin, sqrt,
    sum, tan.
    """

    expression: Annotated[
        str,
        Meta(description="For example (19.99 * 3) / 1.19 or sqrt(2) ^ 10.", min_length=1, max_length=MAX_EXPRESSION),
    ]

    async def run(self, context: ToolContext) -> ToolResult:
        try:
            return ToolResult(calculate(self.expression))
        except ArithmeticFailure as error:
            raise ToolError(str(error)) from None


TOOL: Final = own_tool(Calculate, title="Calculator")
