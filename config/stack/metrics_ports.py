"""Assigns each process of one machine a metrics port of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from config.stack.errors import StackError
from config.stack.ports import open_socket

VARIABLES: Final = {"web": "WEB_METRICS_PORT", "worker": "WORKER_METRICS_PORT"}
LAST: Final = 65535


def assign(
    names: Mapping[str, Sequence[str]], first: Mapping[str, int | None], host: str, *, taken: int = 0
) -> dict[str, dict[str, str]]:
    """The environment of each process, by its name: the set port for the first of a kind, the next ones for the rest.

    `names` are the processes of each kind, `first` the setting of each kind: None for no port, 0 for free ones, which
    the processes find themselves. `taken` is the port of the pages. Raises `StackError` when a port cannot be had.
    """
    found: dict[str, dict[str, str]] = {}
    owners: dict[int, str] = {taken: "the pages (--port)"} if taken else {}
    for kind, processes in names.items():
        variable, port = VARIABLES[kind], first[kind]
        if port is None:
            continue
        for offset, name in enumerate(processes):
            number = port + offset if port else 0
            if number:
                _check(number, host, variable, name, owners)
            found[name] = {variable: str(number)}
    return found


def _check(number: int, host: str, variable: str, name: str, owners: dict[int, str]) -> None:
    advice = f"choose another {variable}, or 0 for free ports"
    if not 0 < number <= LAST:
        raise StackError(f"{variable}: {name} would get port {number}, and ports go from 1 to {LAST}: {advice}.")
    if number in owners:
        raise StackError(f"{variable}: {name} would get port {number}, which {owners[number]} use: {advice}.")
    owners[number] = f"the metrics of {name}"
    try:
        open_socket(host, number).close()
    except StackError:
        raise StackError(
            f"{variable}: port {number} on {host}, for the metrics of {name}, cannot be had "
            f"(another process uses it, or METRICS_HOST is not an address of this machine): {advice}."
        ) from None
