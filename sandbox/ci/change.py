"""Merge a change in a service's code repository, so that the CI builds an image: `python -m sandbox.ci.change [SERVICE] [FAULT]`."""

import json
import sys
import time
from urllib.request import Request, urlopen

from sandbox import contents, endpoints
from sandbox.servers.gerrit_rest import Gerrit, approve, create_change, quoted

FAULTS = ("crash", "badpull", "slow", "neverready")


def merge(name: str, service: str, fault: str = "") -> int:
    """Have a change merged; gives its number. With a fault the image that CI builds of it misbehaves so in the pods."""
    found = endpoints.read(name)
    if found is None:
        raise SystemExit("No sandbox is running: say `make sandbox` in another terminal")
    project = f"mediawiki/services/{service}"
    known = [p.name for p in contents.PROJECTS]
    if project not in known or (fault and fault not in FAULTS):
        names = ", ".join(name.rpartition("/")[2] for name in known)
        raise SystemExit(f"SERVICE is one of {names}; FAULT one of {', '.join(FAULTS)}")
    wish = json.dumps({"fault": fault or None}).encode()
    with urlopen(Request(f"{found['ci']['control']}/{quoted(project)}", wish, method="POST"), timeout=10):
        pass
    gerrit = Gerrit(found["gerrit"]["http"], found["gerrit"]["admin"], found["gerrit"]["password"])
    subject = f"Fix DOI regex, {time.strftime('%H:%M:%S')}"
    number, revision = create_change(
        gerrit, project, contents.BRANCH, subject, {"notes.txt": f"{time.time()}\n".encode()}
    )
    approve(gerrit, project, number, revision)
    return number


def main() -> int:
    """The command line."""
    service, fault, *_ = [*sys.argv[1:], *("citoid", "")[len(sys.argv) - 1 :]]
    number = merge(endpoints.sandbox_name(), service, fault)
    print(f"change {number} of {service} is on its way; the bot announces its image in some seconds")
    return 0


if __name__ == "__main__":
    sys.exit(main())
