"""Renders deploy/helm with Helm's own code, lints it, and holds what it renders to Kubernetes' schemas.

Run by the Python of .venv-deploy, which has the packages; this project's has not: values as JSON on stdin, on stdout
`{"objects": [...], "lint": [...], "wrong": [...]}`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import helm_python
import kubernetes_validate
import yaml

KUBERNETES = "1.34.0"


def main(chart: str) -> None:
    values = json.load(sys.stdin)
    loaded = helm_python.Chart.load(chart)
    objects: list[dict[str, Any]] = []
    for text in loaded.render(values, name="site", namespace="chat").values():
        objects += [one for one in yaml.safe_load_all(text) if one]
    wrong = []
    for one in objects:
        if one["apiVersion"].startswith("monitoring.coreos.com/"):  # a kind of an operator's
            continue
        try:
            kubernetes_validate.validate(one, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            wrong.append(f"{one['kind']} {one['metadata']['name']}: {error}")
    lint = [one for one in helm_python.lint(chart, values, strict=True)["messages"] if one["severity"] > 1]
    json.dump({"objects": objects, "lint": lint, "wrong": wrong}, sys.stdout)


main(sys.argv[1])
