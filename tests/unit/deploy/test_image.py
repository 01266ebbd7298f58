"""What is wrong in the files of the image and of compose before anybody builds or starts them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.credentials import SECRETS
from config.version import VERSION

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SCRIPTS = [path for path in (DEPLOY / "image").iterdir() if path.is_file()]


def test_scripts_can_be_run() -> None:
    for path in SCRIPTS:
        assert os.access(path, os.X_OK), path
        if path.read_text().startswith("#!/bin/sh"):
            subprocess.run(["sh", "-n", str(path)], check=True)
        else:
            compile(path.read_text(), str(path), "exec")


def test_the_image_has_what_the_build_copies_and_no_secrets() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    [names] = re.findall(r"^for name in (.*); do$", (DEPLOY / "image/build").read_text(), re.MULTILINE)
    needed = {*names.split(), "deploy/image"} - {"requirements.txt"}
    assert needed <= kept, "all that is copied must be sent to the builder"
    assert kept - needed == {"requirements.txt", "requirements"}
    assert all((ROOT / name).exists() for name in needed)


def test_optional_packages_can_be_in_the_image() -> None:
    script = (DEPLOY / "image/build").read_text()
    known = set(re.findall(r"[a-z]+", re.findall(r"^# Extras: (.*) \(", script, re.MULTILINE)[0]))
    files = {path.stem for path in (ROOT / "requirements").glob("*.txt")}
    development = {name for name in files if name.endswith("-dev") or name.startswith("servers")} | {"tool-servers"}
    system = {"ocr", "kokoro"}  # packages of Debian's that the image lacks: libGL; espeak-ng's data under the GPL
    assert known - {"speech"} | {"pocketsphinx"} == files - development - system - {"moonshine-wheel"}  # its hashes
    told = (DEPLOY / "Dockerfile").read_text().split("\nARG", 1)[0]
    assert all(re.search(rf"\b{name}\b", told) for name in known)
    refused = subprocess.run(
        [str(DEPLOY / "image/build"), str(ROOT), "/nowhere", "voices"], capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert all(name in refused.stderr for name in known), refused.stderr


def test_the_image_runs_as_a_user_with_nothing_to_write_but_its_volume() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    last = text.rsplit("\nFROM ", 1)[1]
    assert re.search(r"^USER \d+:\d+$", last, re.MULTILINE), "Kubernetes' runAsNonRoot wants a number"
    assert "HEALTHCHECK" in last
    assert "STATIC_COLLECTED=1" in last
    assert "COPY --from=build --chown" not in last, "the program must not own its own files"


def test_services_of_the_program_are_closed_in() -> None:
    ours = "${ANTIPHON_IMAGE:-antiphon}"
    program = {name: one for name, one in COMPOSE["services"].items() if one.get("image") == ours}
    assert {"web1", "web2", "worker1", "worker2", "beat", "prepare", "backup"} == set(program)
    for name, one in program.items():
        assert one["read_only"], name
        assert one["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in one["security_opt"], name
        assert "ports" not in one, "only the proxy is reached from outside"
        assert one["env_file"] == [{"path": "antiphon.env", "required": False}], "settings that this file does not name"
    published = {name for name, one in COMPOSE["services"].items() if "ports" in one}
    assert published == {"caddy", "grafana"}
    assert all(port.startswith("127.0.0.1:") for port in COMPOSE["services"]["grafana"]["ports"])


def test_every_variable_of_compose_is_in_its_example() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    used = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", text))
    example = (DEPLOY / "compose.env.example").read_text()
    named = set(re.findall(r"\b([A-Z][A-Z_]+)=", example))
    assert used - named <= {"ANTIPHON_IMAGE", "EXTRAS", "ENCRYPTION_KEYS"}, used - named
    required = set(re.findall(r"(?<!\$)\$\{([A-Z_]+):\?", text))
    assert required <= named


def test_models_keys_are_the_workers_only() -> None:
    keys = {name for name in SECRETS if name.endswith("_API_KEY")}
    for name, one in COMPOSE["services"].items():
        held = keys & set(one.get("environment") or {})
        assert not held or name.startswith("worker"), (name, held)


def test_the_version_is_the_same_everywhere() -> None:
    chart = yaml.safe_load((DEPLOY / "helm/Chart.yaml").read_text())
    [newest, *_] = re.findall(r"^## (\S+) ", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert chart["appVersion"] == chart["version"] == newest == VERSION


def test_files_that_are_mounted_exist() -> None:
    for name, one in COMPOSE["services"].items():
        for volume in one.get("volumes", []):
            if volume.startswith("./"):
                assert (DEPLOY / volume.split(":")[0]).is_file(), (name, volume)
            else:
                assert volume.split(":")[0] in COMPOSE["volumes"], (name, volume)


def test_a_python_that_only_root_can_run_is_refused(tmp_path: Path) -> None:
    """Before, the image was built, and no service started."""
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    python = private / "python3"
    python.write_text(f"#!/bin/sh\nshift\nexec {sys.executable} -c \"import sys; sys.executable = '$0'\n$1\"\n")
    python.chmod(0o755)
    done = subprocess.run(
        [str(DEPLOY / "image/build"), str(ROOT), str(tmp_path / "target")],
        env={**os.environ, "PYTHON": str(python)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"Other users cannot run {python}: only its owner may enter {private}." in done.stderr
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize(("bucket", "files"), [("", ["--files"]), ("files", [])])
def test_backups_are_of_the_database_and_of_stored_files(tmp_path: Path, bucket: str, files: list[str]) -> None:
    """With a program in place of `manage.py backup` that notes how it is called."""
    for folder in ("app/deploy/image", "venv/bin", "backups"):
        (tmp_path / folder).mkdir(parents=True)
    script = tmp_path / "app/deploy/image/backups"
    script.write_text((DEPLOY / "image/backups").read_text())
    python = tmp_path / "venv/bin/python"
    python.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/part\nmv {tmp_path}/part {tmp_path}/called\n')
    for path in (script, python):
        path.chmod(0o755)
    env = {**os.environ, "BACKUP_HOUR": "0", "BACKUP_KEEP_DAYS": "7", "S3_BUCKET": bucket}
    process = subprocess.Popen([str(script), str(tmp_path / "backups")], env=env)
    try:
        deadline = time.monotonic() + 30
        while not (tmp_path / "called").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        process.terminate()
    assert process.wait(30) == 0
    called = (tmp_path / "called").read_text().split()
    assert called == ["manage.py", "backup", str(tmp_path / "backups"), *files, "--keep", "7"]
