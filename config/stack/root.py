"""Leaves root: `manage.py up`, `serve`, `worker` and `beat` that root starts run as a user of their own.

The user is `antiphon`, which is created if it is missing, or the one that ANTIPHON_USER names. It is never `nobody`,
whose files and processes belong to other services too.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from django.conf import settings

from config.stack.account import copy_for_everybody, installed
from config.stack.errors import StackError
from config.stack.steps import steps

USER: Final = "antiphon"
VARIABLE: Final = "ANTIPHON_USER"
FORMER: Final = "nobody"  # whom earlier versions ran PostgreSQL as
FIRST_FREE_PORT: Final = 1024  # below, a process needs a capability to listen


def leave_root(port: int = 0, *, own_database: bool = False) -> None:
    """If this is root, becomes the user: gives it `VAR_DIR`, and runs this command again. Then it does not return.

    `port`: where it will listen itself; 0 if it does not. `own_database`: whether it will start a private PostgreSQL.
    ANTIPHON_USER=root stays root. Raises `StackError`.
    """
    name = os.environ.get(VARIABLE) or USER
    if os.geteuid() != 0 or name == "root":
        return
    root, var = settings.BASE_DIR, settings.VAR_DIR.absolute()
    account = find_user(name)
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise StackError(f"`setpriv` (util-linux) is missing: start it as an ordinary user, or set {VARIABLE}=root.")
    var.mkdir(mode=0o700, parents=True, exist_ok=True)
    give(var, account)
    plain = [setpriv, f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--init-groups"]
    capabilities = ["net_bind_service"] if 0 < port < FIRST_FREE_PORT else []
    if not _works([*plain, "sh", "-c", 'test -r "$1" && test -x "$2" && test -w "$3"', "sh",
                   str(root / "manage.py"), sys.executable, str(var)]):  # fmt: skip
        steps.begin(f"Granting {name} read access to all files, because only root may open {root} or {var}")
        capabilities.append("dac_read_search")
        if own_database and not _works([*plain, "test", "-x", str(installed() / "postgres")]):
            copy_for_everybody(installed())  # PostgreSQL looks for its programs without capabilities
    held = [f"--{kind}-caps=+{capability}" for capability in capabilities for kind in ("inh", "ambient")]
    if not _works([*plain, *held, "sh", "-c", 'test -r "$1"', "sh", "/dev/null"]):
        raise StackError(
            f"{name} may not enter {root} or {var}: move them to where it may, or start this as an ordinary user."
        )
    steps.begin(f"Changing to the user {name}")
    env = {**os.environ, "HOME": str(var), "USER": name, "LOGNAME": name, "ANTIPHON_ENV_FILE": os.devnull}
    os.execvpe(setpriv, [*plain, *held, sys.executable, *sys.argv], env)  # noqa: S606 -- no shell is wanted


def find_user(name: str) -> pwd.struct_passwd:
    """The user of that name; `USER` is created if it is missing. Raises `StackError`."""
    if name == FORMER:
        raise StackError(f"{VARIABLE}: {FORMER} is shared with other services. Name a user of Antiphon's own.")
    try:
        return pwd.getpwnam(name)
    except KeyError:
        if name != USER:
            raise StackError(f"{VARIABLE}: there is no user {name!r} on this machine.") from None
    steps.begin(f"Creating the system user {name}")
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir=/nonexistent",
               f"--shell={shutil.which('nologin') or '/bin/false'}", name]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        said = done.stderr.strip()
    except OSError as error:
        said = str(error.strerror)
    try:
        return pwd.getpwnam(name)
    except KeyError:
        raise StackError(
            f"The user {name} could not be created ({said}): create it, start this as an ordinary user, or set "
            f"{VARIABLE}=root."
        ) from None


def give(var: Path, account: pwd.struct_passwd) -> None:
    """Gives the user what root, or the user of earlier versions, owns under `var`."""
    former = {0}
    with contextlib.suppress(KeyError):
        former.add(pwd.getpwnam(FORMER).pw_uid)
    for folder, _, names in os.walk(var):
        for path in (Path(folder), *(Path(folder, name) for name in names)):
            status = path.lstat()
            if status.st_uid in former:
                os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)


def _works(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
