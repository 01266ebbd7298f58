"""Traefik's files as far as they can be checked without Traefik, which Debian does not package: names lead somewhere,
durations are durations, and each thing that the other proxies are tested for is configured.
"""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

from tests.templates import ROOT

FOLDER: Final = ROOT / "deploy" / "proxies"
STATIC: dict[str, Any] = yaml.safe_load((FOLDER / "traefik.yaml").read_text())
DYNAMIC: dict[str, Any] = yaml.safe_load((FOLDER / "traefik-dynamic.yaml").read_text())
DURATION: Final = re.compile(r"(\d+(\.\d+)?(ms|s|m|h))+")


def seconds(text: str) -> float:
    assert DURATION.fullmatch(text), text
    units = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
    return sum(float(number) * units[unit] for number, _, unit in re.findall(r"(\d+(\.\d+)?)(ms|s|m|h)", text))


def test_every_name_leads_somewhere() -> None:
    http = DYNAMIC["http"]
    for name, router in http["routers"].items():
        assert set(router["entryPoints"]) <= set(STATIC["entryPoints"]), name
        assert set(router.get("middlewares", ())) <= set(http["middlewares"]), name
        assert router["service"].endswith("@internal") or router["service"] in http["services"], name
        assert router["tls"]["certResolver"] in STATIC["certificatesResolvers"], name
    for service in http["services"].values():
        assert service["loadBalancer"]["serversTransport"] in http["serversTransports"]
    assert STATIC["providers"]["file"]["filename"].endswith("traefik-dynamic.yaml")


def test_plain_http_leads_to_https_and_clients_are_not_believed() -> None:
    redirection = STATIC["entryPoints"]["web"]["http"]["redirections"]["entryPoint"]
    assert redirection == {"to": "websecure", "scheme": "https", "permanent": True}
    for entry in STATIC["entryPoints"].values():
        assert "insecure" not in entry.get("forwardedHeaders", {})
        assert "trustedIPs" not in entry.get("forwardedHeaders", {})


def test_internal_pages_are_not_served_and_come_first() -> None:
    routers = DYNAMIC["http"]["routers"]
    assert routers["internal"]["service"] == "noop@internal"
    assert all(f"Path(`{path}`)" in routers["internal"]["rule"] for path in ("/metrics", "/livez", "/readyz"))
    assert routers["internal"]["priority"] > len(routers["antiphon"]["rule"])


def test_sockets_streams_and_uploads_are_not_cut() -> None:
    timeouts = STATIC["entryPoints"]["websecure"]["transport"]["respondingTimeouts"]
    assert seconds(timeouts["writeTimeout"]) == 0, "a stream has no end"
    assert seconds(timeouts["readTimeout"]) >= 600, "100 MB at 170 kB/s"
    assert seconds(timeouts["idleTimeout"]) > 60, "the heartbeat"
    balancer = DYNAMIC["http"]["services"]["antiphon"]["loadBalancer"]
    assert seconds(balancer["responseForwarding"]["flushInterval"]) < 0.01, "no buffering of answers"
    assert "buffering" not in str(DYNAMIC["http"]["middlewares"]), "which would keep a whole body"
    assert "sticky" not in balancer


def test_a_process_that_drains_is_left_alone_within_two_seconds() -> None:
    check = DYNAMIC["http"]["services"]["antiphon"]["loadBalancer"]["healthCheck"]
    assert check["path"] == "/readyz"
    assert seconds(check["interval"]) <= 2


def test_secrets_in_paths_are_not_logged() -> None:
    assert "accessLog" not in STATIC
