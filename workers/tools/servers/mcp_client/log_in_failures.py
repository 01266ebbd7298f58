"""Why a log-in at a tool server did not work, for `ToolError`."""

from __future__ import annotations

from typing import Final

from accounts.lib.texts import gettext_noop

UNREACHABLE: Final = gettext_noop("The log-in of %(server)s cannot be reached.")
UNUSABLE: Final = gettext_noop("%(server)s does not offer a log-in that works: %(said)s")
OTHER_SERVER: Final = gettext_noop("The log-in of %(server)s was answered by another server.")
OUT_OF_ORDER: Final = gettext_noop("The log-in of %(server)s does not work at the moment (HTTP %(status)s).")
UNREADABLE: Final = gettext_noop("The log-in of %(server)s sent an answer that cannot be read.")
