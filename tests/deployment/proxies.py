"""The proxies of deploy/proxies as Debian packages them, started with those very files: only names, ports and places of
certificates and logs are replaced, and each replacement must find what it replaces.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from config.stack import leash
from tests.deployment.tls import Certificate
from tests.rabbitmq import free_ports
from tests.templates import ROOT

FILES: Final = ROOT / "deploy" / "proxies"
START_SECONDS: Final = 20.0


class Proxy:
    """A running proxy at `url`, before the web processes at `upstreams` (ports of loopback)."""

    program = ""

    def __init__(self, folder: Path, certificate: Certificate, upstreams: Sequence[int]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.certificate, self.upstreams = folder, certificate, list(upstreams)
        self.http_port, self.port = free_ports(2)
        self.log = folder / "log"
        self.process: subprocess.Popen[bytes] | None = None

    @classmethod
    def is_installed(cls) -> bool:
        return shutil.which(cls.program, path=f"{os.environ['PATH']}:/usr/sbin") is not None

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def command(self) -> list[str]:
        """Writes its configuration; the command that runs it in the foreground."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return {"PATH": f"{os.environ['PATH']}:/usr/sbin", "HOME": str(self.folder), "LC_ALL": "C.UTF-8"}

    def start(self) -> None:
        command = self.command()
        with self.log.open("ab") as log:
            self.process = leash.start(command, env=self.environment(), cwd=self.folder, output=log)
        deadline = time.monotonic() + START_SECONDS
        while not all(map(_listens, (self.http_port, self.port))):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{self.program} did not start:\n{self.output()[-4000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        if self.process is not None:
            leash.end(self.process)
            self.process = None

    def output(self) -> str:
        """All that it has logged."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*log")))

    def lines(self, *replaced: tuple[str, str], file: str) -> str:
        text = (FILES / file).read_text()
        for old, new in replaced:
            assert old in text, f"{file} has no {old!r}"
            text = text.replace(old, new)
        return text


class Nginx(Proxy):
    program = "nginx"

    def command(self) -> list[str]:
        servers = "\n".join(f"    server 127.0.0.1:{port} max_fails=1 fail_timeout=2s;" for port in self.upstreams)
        site = self.lines(
            ("    server 127.0.0.1:8001 max_fails=1 fail_timeout=2s;\n", f"{servers}\n"),
            ("    server 127.0.0.1:8002 max_fails=1 fail_timeout=2s;\n", ""),
            ("listen 80;", f"listen 127.0.0.1:{self.http_port};"),
            ("    listen [::]:80;\n", ""),
            ("listen 443 ssl http2;", f"listen 127.0.0.1:{self.port} ssl http2;"),
            ("    listen [::]:443 ssl http2;\n", ""),
            ("server_name chat.example.org;", "server_name localhost;"),
            ("/etc/ssl/antiphon/fullchain.pem", str(self.certificate.certificate)),
            ("/etc/ssl/antiphon/key.pem", str(self.certificate.key)),
            ("/var/log/nginx/antiphon.log", str(self.folder / "access.log")),
            ("/var/log/nginx/antiphon-error.log", str(self.folder / "error.log")),
            file="nginx.conf",
        )
        (self.folder / "site.conf").write_text(site)
        (self.folder / "nginx.conf").write_text(
            f"daemon off;\nmaster_process on;\nworker_processes 2;\nuser {_me()};\npid {self.folder}/pid;\n"
            f"error_log {self.folder}/main.log warn;\nevents {{ worker_connections 1024; }}\n"
            f"http {{\n  include /etc/nginx/mime.types;\n  {_nginx_folders(self.folder)}\n"
            f"  include {self.folder}/site.conf;\n}}\n"
        )
        return ["nginx", "-c", str(self.folder / "nginx.conf"), "-p", str(self.folder)]


class StickyNginx(Nginx):
    """As somebody may configure it who thinks that sockets need it: one address always reaches the same process."""

    def lines(self, *replaced: tuple[str, str], file: str) -> str:
        return super().lines(("    least_conn;\n", "    ip_hash;\n"), *replaced, file=file)


class HAProxy(Proxy):
    program = "haproxy"

    def command(self) -> list[str]:
        servers = "\n".join(f"    server web{n} 127.0.0.1:{port}" for n, port in enumerate(self.upstreams, 1))
        text = self.lines(
            ("    user haproxy\n    group haproxy\n", ""),
            ("maxconn 20000", "maxconn 2000"),  # what a container may open
            ("bind :80\n", f"bind 127.0.0.1:{self.http_port}\n"),
            ("bind :443 ", f"bind 127.0.0.1:{self.port} "),
            ("/etc/ssl/antiphon/site.pem", str(self.certificate.both)),
            ("    server web1 127.0.0.1:8001\n    server web2 127.0.0.1:8002\n", f"{servers}\n"),
            file="haproxy.cfg",
        )
        (self.folder / "haproxy.cfg").write_text(text)
        return ["haproxy", "-db", "-f", str(self.folder / "haproxy.cfg")]


class Caddy(Proxy):
    program = "caddy"

    def command(self) -> list[str]:
        return ["caddy", "run", "--adapter", "caddyfile", "--config", str(FILES / "Caddyfile")]

    def environment(self) -> dict[str, str]:
        return super().environment() | {
            "SITE": f"localhost:{self.port}",
            "UPSTREAMS": " ".join(f"127.0.0.1:{port}" for port in self.upstreams),
            "TLS": f"tls {self.certificate.certificate} {self.certificate.key}",
            "BIND": "default_bind 127.0.0.1",
            "HTTP_PORT": str(self.http_port),
            "HTTPS_PORT": str(self.port),
            "XDG_DATA_HOME": str(self.folder / "data"),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
        }


PROXIES: Final[tuple[type[Proxy], ...]] = (Nginx, HAProxy, Caddy)


def _me() -> str:
    return subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()


def _nginx_folders(folder: Path) -> str:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
