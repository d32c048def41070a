"""Holds the SAL relay to its word: lines go to the log and, when the chat is there, to #ops."""

import os
import socket
from pathlib import Path

import pytest

from tests.running import RunningSandbox

pytestmark = pytest.mark.sandbox


def test_a_line_reaches_the_log_and_the_channel(sandbox: RunningSandbox) -> None:
    """What is sent by TCP is in the log with its time and is said in #ops by logmsgbot, cut at 425 bytes."""
    irc, sal = sandbox.found["irc"], sandbox.found["sal"]
    mark = f"!log test@deploy1 {os.getpid()} "
    with socket.create_connection((irc["host"], irc["port"]), timeout=20) as chat, chat.makefile("rb") as lines:
        chat.sendall(b"NICK listener\r\nUSER listener 0 * :l\r\n")
        while b" 366 " not in (line := next(lines)):
            if line.startswith(b"PING"):
                chat.sendall(b"PONG" + line[4:])
            elif b" 001 " in line:
                chat.sendall(b"JOIN #ops\r\n")
        with socket.create_connection((sal["host"], sal["port"]), timeout=20) as relay:
            relay.sendall((mark + "é" * 400 + "\n").encode())
        while mark.encode() not in (line := next(lines)):
            pass
    said = line.rstrip(b"\r\n")
    assert said.startswith(b":logmsgbot!")
    text = said.partition(b" PRIVMSG #ops :")[2]
    assert 420 < len(text) <= 425
    assert text.decode()
    assert f"Z {text.decode()}\n" in Path(sal["log"]).read_text()


def test_a_line_with_control_characters_is_one_line(sandbox: RunningSandbox) -> None:
    """No sender can make the relay say a second line or an IRC command."""
    sal = sandbox.found["sal"]
    with socket.create_connection((sal["host"], sal["port"]), timeout=20) as relay:
        relay.sendall(b"!log one\rQUIT :two\x01\x02\n")
        relay.shutdown(socket.SHUT_WR)
        assert relay.recv(10) == b""
    assert "!log one QUIT :two" in Path(sal["log"]).read_text()
