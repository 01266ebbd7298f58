"""Leaves the package tablib the formats that it has loaded already: CSV, TSV and JSON.

import_export asks when it is imported which formats there are, and tablib loads openpyxl for the answer, and that numpy
and Pillow: a tenth of the time in which a web process starts, and some 25 MB of each. Staff's lists are CSV only
(accounts/staff/import_export.py). This is imported before import_export.
"""

from __future__ import annotations

from tablib.formats import registry

for _name, _format in list(registry._formats.items()):  # noqa: SLF001 -- there is no method that removes one
    if isinstance(_format, str):  # a dotted path
        del registry._formats[_name]  # noqa: SLF001
