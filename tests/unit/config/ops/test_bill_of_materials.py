"""The bill of materials names what is installed."""

from __future__ import annotations

from importlib.metadata import Distribution, version
from pathlib import Path
from typing import Any

import pytest

from config.ops.bill_of_materials import make_bill

pytestmark = pytest.mark.unit
METADATA = """Metadata-Version: 2.1
Name: {name}
Version: 1.0
{more}
"""


def made(folder: Path, name: str, more: str = "") -> Distribution:
    place = folder / f"{name.lower()}-1.0.dist-info"
    place.mkdir()
    (place / "METADATA").write_text(METADATA.format(name=name, more=more))
    return Distribution.at(place)


def test_packages_with_what_they_need(tmp_path: Path) -> None:
    found = [
        made(tmp_path, "Big_Package", 'Requires-Dist: small.package>=1\nRequires-Dist: absent; extra == "all"\n'
             "License-Expression: MIT"),
        made(tmp_path, "small-package", "Classifier: License :: OSI Approved :: BSD License\nLicense: a long text"),
    ]  # fmt: skip
    bill = make_bill(found)
    big, small = bill["components"]
    assert (big["purl"], small["purl"]) == ("pkg:pypi/big-package@1.0", "pkg:pypi/small-package@1.0")
    assert big["licenses"] == [{"expression": "MIT"}]
    assert small["licenses"] == [{"license": {"name": "BSD License"}}]
    needs = {one["ref"]: one["dependsOn"] for one in bill["dependencies"]}
    assert needs["antiphon"] == [big["purl"], small["purl"]]
    assert (needs[big["purl"]], needs[small["purl"]]) == ([small["purl"]], [])


def test_this_environment() -> None:
    bill: dict[str, Any] = make_bill()
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    refs = [one["bom-ref"] for one in bill["components"]]
    assert len(refs) == len(set(refs))
    assert f"pkg:pypi/django@{version('django')}" in refs
    assert {one for entry in bill["dependencies"] for one in entry["dependsOn"]} <= set(refs)
