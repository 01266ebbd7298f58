"""Where settings are read from: the environment and `.env`."""

from __future__ import annotations

import os
from pathlib import Path

from environs import Env, validate

from config.env import RATE_PATTERN

BASE_DIR = Path(__file__).resolve().parent.parent.parent
VAR_DIR = Path(os.environ.get("ANTIPHON_VAR") or BASE_DIR / "var")

env = Env()
env.read_env(os.environ.get("ANTIPHON_ENV_FILE", str(BASE_DIR / ".env")), recurse=False)

a_rate = validate.Regexp(RATE_PATTERN, error="Not a rate such as 30/m, 120/10s or off.")
