"""deploy/monitoring: alerts that fire and stay quiet when they should, and name only what is exported."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import yaml

from chat.channel_layer.stats import LayerStats
from chat.telemetry import exposition, metrics

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "deploy/monitoring"
BESIDE = str(Path(sys.executable).parent)


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    found = shutil.which("promtool") or shutil.which("promtool", path=BESIDE)
    assert found, "promtool is missing: run `make promtool` (or install Debian's package prometheus)"
    return subprocess.run([found, *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)


def exported() -> set[str]:
    """Every series name a scrape may show."""
    names = {metrics.PREFIX + family.name for family in (*exposition.COUNTERS, *exposition.GAUGES)}
    for name in exposition.HISTOGRAMS:
        names |= {f"{metrics.PREFIX}{name}_{part}" for part in ("bucket", "sum", "count")}
    for field in fields(LayerStats):
        names.add(f"{metrics.PREFIX}layer_{field.name}{'' if field.name in exposition.LAYER_GAUGES else '_total'}")
    process = ("cpu_seconds_total", "resident_memory_bytes", "virtual_memory_bytes", "open_fds", "max_fds",
               "start_time_seconds")  # fmt: skip
    return names | {f"{metrics.PREFIX}process_{name}" for name in process}


def used(text: str) -> set[str]:
    return set(re.findall(r"\bantiphon_[a-z_]+", text))


def alerts() -> list[str]:
    return re.findall(r"alert: (\w+)", (FOLDER / "rules.yml").read_text())


def test_every_alert_fires_and_stays_quiet() -> None:
    files = sorted(FOLDER.glob("rules*_test.yml"))
    assert len(files) == 3
    done = promtool("test", "rules", *(file.name for file in files))
    assert done.returncode == 0, done.stdout + done.stderr
    cases = "".join(file.read_text() for file in files)
    for alert in alerts():
        assert f"name: {alert} fires" in cases
        assert f"name: {alert} stays quiet" in cases


def test_the_rules_are_rules() -> None:
    done = promtool("check", "rules", "rules.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_and_dashboard_ask_for_what_is_there() -> None:
    rules = (FOLDER / "rules.yml").read_text()
    dashboard = json.loads((FOLDER / "dashboard.json").read_text())
    questions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    assert len(questions) >= 12
    assert used(rules) <= exported()
    assert used("\n".join(questions)) <= exported()


def test_kubernetes_scales_by_what_is_there() -> None:
    """The adapter asks for metrics that are exported, and the chart for what the adapter serves."""
    rules = yaml.safe_load((FOLDER / "adapter.yaml").read_text())["rules"]
    served = set()
    for rule in (*rules["custom"], *rules["external"]):
        [series] = re.findall(r"^\w+", rule["seriesQuery"])
        assert series in exported(), series
        assert used(rule["metricsQuery"]) <= {series}
        served.add(rule.get("name", {}).get("as", series))
    templates = "".join(path.read_text() for path in (ROOT / "deploy/helm/templates").glob("*.yaml"))
    assert set(re.findall(r"metric: { name: (\w+)", templates)) == served
    [length] = [family for family in exposition.GAUGES if family.name == "queue_length"]
    assert length.labels == ("queue",), "by which the chart chooses"


def test_the_manual_tells_of_every_alert_and_metric() -> None:
    manual = (ROOT / "docs/operations.md").read_text()
    for alert in alerts():
        assert f"### {alert}\n" in manual
    shown = {metrics.PREFIX + family.name for family in (*exposition.COUNTERS, *exposition.GAUGES)}
    shown |= {metrics.PREFIX + name for name in exposition.HISTOGRAMS}
    told = {name for name in re.findall(r"`(antiphon_[a-z_]+)", manual) if not name.startswith("antiphon_layer")}
    assert {name for name in told if not name.startswith("antiphon_process")} == shown
