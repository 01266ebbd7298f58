"""All settings, by topic. Values come from the environment and `.env`.

An invalid value stops the program with a message that names the variable (see `config.env`).
"""

from __future__ import annotations

from config.settings.accounts import *
from config.settings.environment import *
from config.settings.files import *
from config.settings.jobs import *
from config.settings.ldap import *
from config.settings.limits import *
from config.settings.mail import *
from config.settings.models import *
from config.settings.operation import *
from config.settings.pages import *
from config.settings.protection import *
from config.settings.push import *
from config.settings.retention import *
from config.settings.second_factor import *
from config.settings.sharing import *
from config.settings.site import *
from config.settings.sockets import *
from config.settings.speech import *
from config.settings.sso import *
from config.settings.staff import *
from config.settings.stores import *
from config.settings.tool_servers import *
from config.settings.tools import *
from config.settings.webhooks import *
