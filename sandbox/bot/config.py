"""Write the bot's config.py for a running sandbox, out of what endpoints.json says."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from pprint import pformat
from typing import Any

from sandbox import contents
from sandbox.servers.deploy_host import NAME
from sandbox.world import HERE

NICK = "quarterdeck"
# Short, because the sandbox's charts give helm 20 s; in production people have more time, and pods less hurry.
_HEALTH = {"grace_s": 4, "soak_s": 5, "poll_s": 0.4}
_DEADLINES = {
    "gate_s": 120,
    "sync_s": 60,
    "ask_production_s": 900,
    "ask_staging_s": 300,
    "apply_extra_s": 30,
    "host_away_s": 60,
}

_TEMPLATE = '''\
"""The bot of a sandbox; made by `python -m sandbox.bot.run`, made anew at each start."""

import logging

BACKEND = "Quarterdeck"
BOT_EXTRA_BACKEND_DIR = {backends!r}
BOT_EXTRA_PLUGIN_DIR = {plugins!r}
BOT_DATA_DIR = {data!r}
STORAGE = "Memory"
CORE_PLUGINS = ("ACLs",)
AUTOINSTALL_DEPS = False
BOT_PLUGIN_INDEXES = ()
BOT_LOG_FILE = None
BOT_LOG_LEVEL = logging.INFO
BOT_IDENTITY = {{}}
BOT_ADMINS = ("none:",)
BOT_ADMINS_NOTIFICATIONS = ()
CHATROOM_PRESENCE = ()
BOT_PREFIX = "!"
BOT_PREFIX_OPTIONAL_ON_CHAT = False
SUPPRESS_CMD_NOT_FOUND = True

QUARTERDECK = {block}
'''


def block(found: Mapping[str, Any], data: Path, password: Path, web_port: int) -> dict[str, Any]:
    """The QUARTERDECK block.

    Args:
        found: what endpoints.json says.
        data: the bot's own folder.
        password: file with the password of its IRC account.
        web_port: where its pages will be.
    """
    gerrit, host, irc, sal = (found[part] for part in ("gerrit", "deploy_host", "irc", "sal"))
    kubeconfigs = Path(found["sandbox"]["root"]) / "host" / "etc" / "kubernetes"
    return {
        "data_dir": str(data),
        "catalogue": "services.yaml",
        "web": {"host": "127.0.0.1", "port": web_port},
        "gerrit": {
            "url": gerrit["http"].rstrip("/"),
            "user": gerrit["account"],
            "token": {"file": gerrit["token_file"]},
            "ssh": {
                "host": gerrit["ssh_host"],
                "port": gerrit["ssh_port"],
                "user": gerrit["account"],
                "key": gerrit["account_ssh_key"],
                "known_hosts": gerrit["known_hosts"],
            },
        },
        "registry": {"url": found["registry"]["http"]},
        "deploy_host": {
            **{key: host[key] for key in ("host", "port", "user", "key", "known_hosts", "charts")},
            "name": NAME,
            "jobs_dir": "~/quarterdeck-jobs",
            "kubeconfig_view": f"{kubeconfigs}/{{service}}-{{environment}}.config",
            "kubeconfig_deploy": f"{kubeconfigs}/{{service}}-deploy-{{environment}}.config",
        },
        "networks": {
            "irc": {
                "kind": "irc",
                "host": irc["host"],
                "port": irc["tls_port"],
                "tls": True,
                "ca": irc["ca"],
                "nick": NICK,
                "account": NICK,
                "password": {"file": str(password)},
                "rooms": ["#deploy"],
                "burst": 200,  # the server lets the bot
                "rate": 100,
            }
        },
        "sal": {"host": sal["host"], "port": sal["port"]},
        "health": dict(_HEALTH),
        "deadlines": dict(_DEADLINES),
        "ask_first_rollouts": 0,
    }


def write(
    found: Mapping[str, Any],
    folder: Path,
    web_port: int,
    owner: tuple[int, int] | None,
    **overrides: Any,
) -> Path:
    """Write config.py and what it names into a folder, for its owner alone.

    Args:
        found: what endpoints.json says.
        folder: where; made if it is not there.
        web_port: where the pages will be.
        owner: uid and gid whose everything shall be; None leaves it ours.
        overrides: keys of the QUARTERDECK block to have otherwise.
    """
    data = folder / "data"
    for path in (folder, data):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    password, config, catalogue = folder / "irc.password", folder / "config.py", folder / "services.yaml"
    # who submits is set for the whole sandbox when it starts; the bot must be told the same
    text = re.sub(r"(?m)^  merge: \w+$", f"  merge: {found['gerrit']['merge']}", contents.CATALOGUE.read_text())
    _private(catalogue, text)
    _private(password, f"{found['irc']['accounts'][NICK]}\n")
    text = _TEMPLATE.format(
        backends=str(HERE.parent / "backends"),
        plugins=str(HERE.parent / "plugins"),
        data=str(data),
        block=pformat(block(found, data, password, web_port) | overrides, sort_dicts=False, width=110),
    )
    _private(config, text)
    if owner is not None:
        for path in (folder, data, password, config, catalogue):
            os.chown(path, *owner)
    return config


def _private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
