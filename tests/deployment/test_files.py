"""The files of deploy/ held to what their programs accept: Docker, Compose, Kubernetes, systemd."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.deployment import servers
from tests.templates import ROOT

DEPLOY = ROOT / "deploy"
BIN = ROOT / ".venv-deploy" / "bin"
tools = pytest.mark.skipif(not (BIN / "hadolint").exists(), reason="`make test-deploy` installs what this needs")
EVERYTHING = {
    "web": {"autoscaling": {"enabled": True}},
    "workers": {name: {"autoscaling": {"enabled": True}} for name in ("answers", "speech", "background")},
    "modelSecret": "models",
    "monitoring": {"enabled": True},
    "storage": {"className": "nfs"},
}


@tools
def test_the_dockerfile_has_no_finding() -> None:
    done = subprocess.run(
        [str(BIN / "hadolint"), str(DEPLOY / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


@tools
def test_compose_is_as_its_specification_says() -> None:
    command = [str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", str(DEPLOY / "compose.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@tools
@pytest.mark.parametrize("values", [{}, EVERYTHING, {"storage": {"enabled": False}, "ingress": {"enabled": False}}])
def test_the_chart_renders_what_kubernetes_accepts(values: dict[str, Any]) -> None:
    found = render(values)
    assert (found["lint"], found["wrong"]) == ([], [])
    kinds = [one["kind"] for one in found["objects"]]
    assert kinds.count("Deployment") == 5
    assert kinds.count("Job") == 1
    assert kinds.count("HorizontalPodAutoscaler") == (4 if values is EVERYTHING else 0)
    assert ("PersistentVolumeClaim" in kinds) == values.get("storage", {}).get("enabled", True)


@tools
def test_pods_of_the_chart_are_closed_in_and_find_each_other() -> None:
    objects = render(EVERYTHING)["objects"]
    pods = {one["metadata"]["name"]: one["spec"]["template"] for one in objects if one["kind"] in ("Deployment", "Job")}
    for name, pod in pods.items():
        assert pod["spec"]["securityContext"]["runAsNonRoot"], name
        [container] = pod["spec"]["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"], name
        assert container["resources"]["limits"]["memory"], name
        mounted = {one["name"] for one in container["volumeMounts"]}
        assert mounted == {one["name"] for one in pod["spec"]["volumes"]}, name
        secrets = json.dumps(pod["spec"]["volumes"])
        assert ("models" in secrets) == name.startswith("site-worker"), "only workers have the models' keys"
    web = pods["site-web"]["spec"]
    drain = next(one["value"] for one in web["containers"][0]["env"] if one["name"] == "DRAIN_SECONDS")
    assert web["terminationGracePeriodSeconds"] >= 5 + int(drain) + 5
    for one in objects:
        if one["kind"] in ("Service", "PodDisruptionBudget") and (wanted := one["spec"].get("selector")):
            wanted = wanted.get("matchLabels", wanted)
            chosen = [name for name, pod in pods.items() if wanted.items() <= pod["metadata"]["labels"].items()]
            assert chosen == [one["metadata"]["name"]], "it selects the pods of one kind"


@tools
def test_the_ingress_does_not_serve_what_is_for_probes_and_monitoring() -> None:
    objects = render({})["objects"]
    [ingress] = [one for one in objects if one["kind"] == "Ingress"]
    paths = ingress["spec"]["rules"][0]["http"]["paths"]
    closed = {one["path"]: one["backend"]["service"]["name"] for one in paths if one["pathType"] == "Exact"}
    assert closed == dict.fromkeys(("/metrics", "/livez", "/readyz"), "site-closed")
    [service] = [one for one in objects if one["kind"] == "Service" and one["metadata"]["name"] == "site-closed"]
    assert "selector" not in service["spec"], "it has no pods"


@tools
def test_workers_of_the_chart_serve_all_queues() -> None:
    from django.conf import settings

    args = [
        one["spec"]["template"]["spec"]["containers"][0]["args"]
        for one in render({})["objects"]
        if one["kind"] == "Deployment"
    ]
    served = {queue for words in args if words[0] == "worker" for queue in words[2].split(",")}
    assert served == set(settings.WORKER_QUEUES)


@tools
def test_workers_scale_by_metrics_that_exist_and_that_the_adapter_serves() -> None:
    adapter = (DEPLOY / "monitoring/adapter.yaml").read_text()
    wanted: dict[str, set[str]] = {}
    for one in render(EVERYTHING)["objects"]:
        if one["kind"] == "HorizontalPodAutoscaler":
            for metric in one["spec"]["metrics"]:
                if metric["type"] in ("External", "Pods"):
                    asked = metric[metric["type"].lower()]["metric"]
                    queues = asked.get("selector", {}).get("matchLabels", {})
                    wanted.setdefault(asked["name"], set()).update(queues.values())
    assert wanted == {
        "antiphon_sockets": set(),
        "antiphon_queue_wait_seconds_p90": set(),
        "antiphon_queue_length": {"speech", "files", "moderation", "maintenance"},
    }
    assert all(name in adapter for name in wanted)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_its_units_and_finds_them_closed_in(tmp_path: Path) -> None:
    for path in (DEPLOY / "systemd").glob("antiphon*"):
        text = path.read_text()  # programs of the installation are not on this machine
        text = text.replace("/opt/antiphon/venv/bin/python", "/usr/bin/env")
        (tmp_path / path.name).write_text(text.replace("/opt/antiphon/app/deploy/image/await-ready", "/usr/bin/env"))
    units = sorted(path for path in tmp_path.iterdir() if path.suffix in (".service", ".target", ".timer"))
    assert len(units) == 7
    for unit in units:
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), unit.name
        if unit.suffix == ".service":
            command = ["systemd-analyze", "security", "--offline=true", "--threshold=25", str(unit)]  # 2.5 of 10
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout


@pytest.mark.skipif(not servers.installed("haproxy"), reason="haproxy is not installed (Debian: apt install haproxy)")
def test_haproxy_starts_before_the_servers_have_addresses() -> None:
    """As in Compose, where the replica may be started later, or be down, and has a name only while it runs."""
    names = {"REDIS_ONE": "one.invalid:6379", "REDIS_TWO": "two.invalid:6379", "REDIS_PASSWORD": "x"}
    command = ["haproxy", "-c", "-f", str(DEPLOY / "redis/haproxy.cfg")]
    env = {**os.environ, "PATH": servers.PATH, **names}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_command_gets_the_environment_of_the_services(tmp_path: Path) -> None:
    """`antiphon-manage`, with a program that shows its environment in place of Python's."""
    for folder, name, text in (
        ("secrets", "SECRET_KEY", "of the site\n"),
        ("secrets", "DATABASE_URL", "postgresql://a b"),
    ):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).write_text(text)
    (tmp_path / "model-keys").mkdir()
    (tmp_path / "app").mkdir()
    (tmp_path / "python").write_text(
        '#!/bin/sh\nprintf "%s|" "$PWD" "$@" "$SECRET_KEY" "$DATABASE_URL" "$ANTIPHON_ENV_FILE"\n'
    )
    (tmp_path / "python").chmod(0o755)
    script = (DEPLOY / "systemd/antiphon-manage").read_text()
    for old, new in (
        ("/etc/antiphon/", f"{tmp_path}/"),
        ("cd /opt/antiphon/app", f"cd {tmp_path}/app"),
        ("/opt/antiphon/venv/bin/python", f"{tmp_path}/python"),
        ("setpriv --reuid=antiphon --regid=antiphon --init-groups --no-new-privs ", ""),
    ):
        assert old in script, old
        script = script.replace(old, new)
    done = subprocess.run(
        ["sh", "-c", script, "antiphon-manage", "check_deploy", "--json"], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("|")[:-1] == [
        f"{tmp_path}/app", "manage.py", "check_deploy", "--json", "of the site", "postgresql://a b",
        f"{tmp_path}/antiphon.env",
    ]  # fmt: skip


def render(values: dict[str, Any]) -> Any:
    command = [str(BIN / "python"), str(ROOT / "tests/deployment/render_chart.py"), str(DEPLOY / "helm")]
    done = subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)
