"""Run the chat network of the sandbox: InspIRCd with history, TLS and IRCv3, and Atheme with people's accounts.

Channels exist with a topic and history before anybody joins. Accounts come from a database written before
Atheme starts, so nobody has to register; Atheme rewrites that file, so it is made anew at every start.
"""

import re
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox.servers.supervisor import Child, SandboxError, Supervisor
from sandbox.world import World

HOST = "127.0.0.1"
BOT = "quarterdeck"
FOUNDER = "sre1"
SERVER = "irc.sandbox.test"
SERVICES = "services.sandbox.test"
HISTORY = "50:1d"  # lines : age
_READY_SECONDS = 20

# `deaf` because ChanServ comes with user mode +d; without it the services link dies in a loop.
_MODULES = [
    "ssl_gnutls",
    "sslinfo",
    "spanningtree",
    "services_account",
    "cap",
    "ircv3",
    "ircv3_accounttag",
    "ircv3_batch",
    "ircv3_capnotify",
    "ircv3_chghost",
    "ircv3_ctctags",
    "ircv3_echomessage",
    "ircv3_labeledresponse",
    "ircv3_msgid",
    "ircv3_servertime",
    "namesx",
    "uhnames",
    "botmode",
    "deaf",
    "svshold",
    "servprotect",
]

_ATHEME_MODULES = [
    "protocol/inspircd",
    "backend/opensex",
    "crypto/pbkdf2v2",
    "nickserv/main",
    "nickserv/identify",
    "nickserv/register",
    "nickserv/ghost",
    "nickserv/info",
    "nickserv/status",
    "chanserv/main",
    "chanserv/register",
    "chanserv/flags",
    "chanserv/access",
    "chanserv/sync",
    "chanserv/voice",
    "saslserv/main",
    "saslserv/plain",
]

_CLASS = (
    '{port} allow="127.0.0.1" timeout="20" pingfreq="2m" hardsendq="1M" softsendq="64K" recvq="64K" '
    'localmax="200" globalmax="200" resolvehostnames="no" useident="no" limit="500" maxchans="50"'
)

_TLS_EXTENSIONS = """\
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid:always
subjectAltName=DNS:localhost,IP:127.0.0.1
"""


@dataclass(frozen=True)
class ChatEndpoint:
    """How to reach the network."""

    host: str
    port: int
    """Plain, no flood limits to speak of."""
    tls_port: int
    ca: Path
    """The authority to verify the TLS port with, for the names localhost and 127.0.0.1."""
    channels: tuple[str, ...]
    accounts: Mapping[str, str]
    """Account to password; the nick of the same name belongs to it."""
    strict_port: int
    """Plain; after about ten lines at once the server delays each by a second."""
    kill_port: int
    """Plain; after about ten lines at once the server ends the connection."""


def start(world: World, supervisor: Supervisor, channels: Sequence[str], accounts: Mapping[str, str]) -> ChatEndpoint:
    """Start both servers and return when clients can log in.

    Args:
        world: where the sandbox lives.
        supervisor: who keeps the servers.
        channels: names with their `#`; `sre1` founds them, `quarterdeck` gets voice, if those are accounts.
        accounts: account to password, plain text.

    Raises:
        SandboxError: a server did not come up; with the tail of its log.
    """
    home = world.folder("chat")
    tls = _certificates(world)
    link = secrets.token_hex(16)
    world.folder("chat", "data")
    world.folder("chat", "services")
    world.write(home / "motd.txt", "Quarterdeck's sandbox.\n")
    world.write(home / "inspircd.conf", _inspircd_conf(world, channels, link), mode=0o600)
    world.write(home / "atheme.conf", _atheme_conf(world, link), mode=0o600)
    world.write(home / "services" / "services.db", _accounts(channels, accounts), mode=0o600)
    services = start_services(world, supervisor)
    ircd = start_ircd(world, supervisor)
    supervisor.wait_ready(ircd, lambda: _open(world.port("chat")), _READY_SECONDS)
    supervisor.wait_ready(services, lambda: login_possible(world.port("chat")), _READY_SECONDS)
    return ChatEndpoint(
        host=HOST,
        port=world.port("chat"),
        tls_port=world.port("chat-tls"),
        ca=tls,
        channels=tuple(channels),
        accounts=dict(accounts),
        strict_port=world.port("chat-strict"),
        kill_port=world.port("chat-kill"),
    )


def start_ircd(world: World, supervisor: Supervisor) -> Child:
    """Start InspIRCd from the files `start` wrote; it refuses root, which the supervisor sees to."""
    argv: list[str | Path] = [world.tools.inspircd, "--config", world.root / "chat" / "inspircd.conf", "--nofork"]
    return supervisor.spawn("inspircd", argv)


def start_services(world: World, supervisor: Supervisor) -> Child:
    """Start Atheme; it may come before or after InspIRCd, it tries each second."""
    home = world.root / "chat"
    # It refuses to start when its pid file names a living process, even somebody else's.
    (home / "services" / "atheme.pid").unlink(missing_ok=True)
    options: list[str | Path] = [
        "-c",
        home / "atheme.conf",
        "-D",
        home / "services",
        "-l",
        home / "data" / "atheme.log",
    ]
    argv: list[str | Path] = [world.tools.atheme, "-n", *options, "-p", home / "services" / "atheme.pid"]
    return supervisor.spawn("atheme", argv)


def login_possible(port: int) -> bool:
    """Whether the server offers SASL, which it does only while services are linked.

    Raises:
        OSError: the server cannot be reached.
    """
    with socket.create_connection((HOST, port), timeout=2) as peer:
        peer.sendall(b"CAP LS 302\r\n")
        seen = b""
        while not re.search(rb" LS :[^\n]*\n", seen):
            more = peer.recv(4096)
            if not more:
                return False
            seen += more
        return b"sasl=" in seen


def _open(port: int) -> bool:
    with socket.create_connection((HOST, port), timeout=1):
        return True


def _certificates(world: World) -> Path:
    """Make an authority and a server key that Python's strictest defaults accept (keyUsage, SKI, AKI)."""
    folder = world.folder("chat", "tls")
    extensions = world.write(folder / "ext.cnf", _TLS_EXTENSIONS)
    openssl = world.tools.openssl
    new_key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256".split()  # noqa: SIM905
    authority = [
        "-addext",
        "basicConstraints=critical,CA:TRUE,pathlen:0",
        "-addext",
        "keyUsage=critical,keyCertSign,cRLSign",
        "-addext",
        "subjectKeyIdentifier=hash",
    ]
    ca, key = folder / "ca.pem", folder / "ca.key"
    names = ["-subj", "/CN=Sandbox CA"]
    world.run([openssl, "req", "-x509", *new_key, "-days", "30", "-keyout", key, "-out", ca, *names, *authority])
    request = folder / "irc.csr"
    names = ["-subj", "/CN=localhost"]
    world.run([openssl, "req", "-new", *new_key, "-keyout", folder / "irc.key", "-out", request, *names])
    sign: list[str | Path] = [
        "-CA",
        ca,
        "-CAkey",
        key,
        "-CAcreateserial",
        "-days",
        "30",
        "-sha256",
        "-extfile",
        extensions,
    ]
    world.run([openssl, "x509", "-req", "-in", request, *sign, "-out", folder / "irc.pem"])
    ca.chmod(0o644)
    return ca


def _inspircd_conf(world: World, channels: Sequence[str], link: str) -> str:
    home, port = world.root / "chat", world.port
    modules = "\n".join(f'<module name="{name}">' for name in _MODULES)
    rooms = "\n".join(
        f'<permchannels channel="{name}" modes="ntPH {HISTORY}" topic="Deployments of the sandbox">'
        for name in channels
    )
    # First match wins, so the classes with a port come first. No `parent=`: it drops every client silently.
    strict = _CLASS.format(port=f'port="{port("chat-strict")}"')
    kill = _CLASS.format(port=f'port="{port("chat-kill")}"')
    return f"""\
<config format="xml">
<dns server="127.0.0.1" timeout="1">
<path configdir="{home}" datadir="{home}/data" logdir="{home}/data" runtimedir="{home}/data">
<files motd="{home}/motd.txt">
<server name="{SERVER}" description="sandbox" network="Sandbox" id="0SB">
<admin name="sandbox" nick="sandbox" email="sandbox@sandbox.test">
<pid file="{home}/data/inspircd.pid">
<log method="file" type="* -USERINPUT -USEROUTPUT" level="default" target="{home}/data/ircd.log" flush="1">
<bind address="{HOST}" port="{port("chat")}" type="clients">
<bind address="{HOST}" port="{port("chat-strict")}" type="clients">
<bind address="{HOST}" port="{port("chat-kill")}" type="clients">
<bind address="{HOST}" port="{port("chat-tls")}" type="clients" sslprofile="tls">
<bind address="{HOST}" port="{port("chat-services")}" type="servers">
{modules}
<sslprofile name="tls" provider="gnutls" certfile="{home}/tls/irc.pem" keyfile="{home}/tls/irc.key"
 cafile="{home}/tls/ca.pem" requestclientcert="no">
<connect name="strict" {strict} threshold="10" commandrate="1000" fakelag="yes">
<connect name="kill" {kill} threshold="10" commandrate="1000" fakelag="no">
<connect name="easy" {_CLASS.format(port="")} threshold="1000" commandrate="1000000" fakelag="yes">
<performance clonesonconnect="no" quietbursts="yes" softlimit="1024">
<options defaultmodes="not" casemapping="rfc1459"> <limits maxident="20">
<security announceinvites="dynamic">
<class name="none"><type name="none"><oper name="nobody" password="x" host="none@none" type="none">
<module name="sasl"><sasl target="{SERVICES}" requiressl="no">
<link name="{SERVICES}" ipaddr="{HOST}" port="{port("chat-services")}" allowmask="{HOST}" sendpass="{link}"
 recvpass="{link}">
<uline server="{SERVICES}" silent="yes">
<ircv3 accountnotify="yes" awaynotify="yes" extendedjoin="yes">
<module name="chanhistory"><chanhistory bots="yes" enableumode="yes" maxlines="50" prefixmsg="yes">
<module name="permchannels">
{rooms}
"""


def _atheme_conf(world: World, link: str) -> str:
    modules = "\n".join(f'loadmodule "modules/{name}";' for name in _ATHEME_MODULES)
    # trigger: with "!" ChanServ would answer beside the bot. auth = none: REGISTER works without mail.
    return f"""\
{modules}
serverinfo {{
  name = "{SERVICES}"; desc = "Services"; numeric = "0SV"; recontime = 1; netname = "Sandbox";
  hidehostsuffix = "users.sandbox"; adminname = "sandbox"; adminemail = "sandbox@sandbox.test";
  registeremail = "noreply@sandbox.test"; loglevel = {{ error; info; admin; network; }}; maxlogins = 20;
  maxusers = 0; mdlimit = 30; emaillimit = 10; emailtime = 300; auth = none; casemapping = rfc1459;
}};
uplink "{SERVER}" {{
  host = "{HOST}"; port = {world.port("chat-services")};
  send_password = "{link}"; receive_password = "{link}";
}};
nickserv {{ nick = "NickServ"; user = "NickServ"; host = "{SERVICES}"; real = "Nickname Services";
  maxnicks = 5; expire = 0; }};
chanserv {{ nick = "ChanServ"; user = "ChanServ"; host = "{SERVICES}"; real = "Channel Services";
  maxchans = 20; expire = 0; trigger = "`"; }};
saslserv {{ nick = "SaslServ"; user = "SaslServ"; host = "{SERVICES}"; real = "SASL"; }};
pbkdf2v2 {{ digest = "SHA256"; rounds = 10000; }};
general {{ flood_msgs = 0; ratelimit_uses = 0; ratelimit_period = 0; commit_interval = 1; clone_time = 0;
  kline_time = 0; language = "en"; }};
"""


def _accounts(channels: Sequence[str], accounts: Mapping[str, str]) -> str:
    """Write Atheme's flat file database (opensex): accounts, their nicks, channels and who may what there."""
    lines = ["GRVER 1", "DBV 12", "CF +AFHORVabefhioqrstv"]
    for number, (account, password) in enumerate(accounts.items()):
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", account) or not re.fullmatch(r"\S+", password):
            raise SandboxError(f"account {account!r} cannot be written into the services' database")
        mail = f"{account}@sandbox.test"
        # The flags are "+", not "+b": with b everybody is logged out whenever services come back.
        lines.append(f"MU {_entity(number)} {account} {password} {mail} 1700000000 1700000000 + default")
        lines.append(f"MN {account} {account} 1700000000 1700000000")
    for channel in channels:
        lines.append(f"MC {channel} 1700000000 1700000000 +v 0 0 0")
        if BOT in accounts:
            lines.append(f"CA {channel} {BOT} +AVv 1700000000 {BOT}")
        if FOUNDER in accounts:
            lines.append(f"CA {channel} {FOUNDER} +AFORaefhiorstv 1700000000 {FOUNDER}")
    return "".join(f"{line} \n" for line in lines)  # each record ends in a blank


def _entity(number: int) -> str:
    letters = ""
    for _ in range(9):
        number, rest = divmod(number, 26)
        letters = chr(ord("A") + rest) + letters
    return letters
