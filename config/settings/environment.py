"""Where settings are read from: the environment and `.env`."""

from __future__ import annotations

import os
from pathlib import Path

from dotenv import load_dotenv
from environs import Env, validate

from config.credentials import read_credentials
from config.env import RATE_PATTERN

BASE_DIR = Path(__file__).resolve().parent.parent.parent
# Into this process's environment, and not only into `env`: what `up` starts has it from there, and reads no file.
load_dotenv(os.environ.get("ANTIPHON_ENV_FILE", BASE_DIR / ".env"))
read_credentials(os.environ)
VAR_DIR = Path(os.environ.get("ANTIPHON_VAR") or BASE_DIR / "var")

env = Env()

a_rate = validate.Regexp(RATE_PATTERN, error="Not a rate such as 30/m, 120/10s or off.")
