"""Which of staff's policies applies to a tool, and by what name tools are known to policies. Pure: no Django."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

EVERY_SERVER: Final = "*"  # the server of a policy for all tools, also of those of servers
STRICTNESS: Final = ("never", "ask", "always", "off")  # from the mildest rule to the strictest


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy of staff. An empty `server`: our own tools; `EVERY_SERVER`: all tools. An empty `tool`: all of them.

    `group`: it is for a group of people, and not for everybody.
    """

    server: str
    tool: str
    rule: str
    group: bool = False


def own_name(name: str, server: str) -> str:
    """The name of a tool at its server. Where two servers have one name, models call it `server__name`."""
    return name.removeprefix(f"{server}__") if server else name


def applying_policy(policies: Iterable[Policy], server: str, tool: str) -> Policy | None:
    """The most specific of the policies for one person: that of the tool before that of its server before that of all;
    at each of these a group's before everybody's, and of several groups' the strictest. None: none applies.
    """
    places = ((server, tool), (server, ""), (EVERY_SERVER, ""))
    known = [(places.index((one.server, one.tool)), one) for one in policies if (one.server, one.tool) in places]
    order = sorted(known, key=lambda found: (found[0], not found[1].group, -STRICTNESS.index(found[1].rule)))
    return order[0][1] if order else None


def stricter(*rules: str) -> str:
    """The strictest of these rules. An empty one counts as the mildest."""
    return max((rule for rule in rules if rule), key=STRICTNESS.index, default=STRICTNESS[0])
