#!/bin/sh
# Makes the virtual environment with the locked packages; installs Debian's python3-venv first where it is missing.
set -eu
venv=$1
python=${PYTHON:-python3}
if ! command -v "$python" >/dev/null 2>&1 || ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    as_root=
    if [ "$(id -u)" != 0 ]; then
        if [ "${SANDBOX_INSTALL:-}" != 1 ]; then
            echo "python3 with venv is missing: run 'apt-get install python3 python3-venv' as root, or say SANDBOX_INSTALL=1 make …" >&2
            exit 1
        fi
        as_root=sudo
    fi
    echo "installing Debian's python3 and python3-venv"
    $as_root apt-get update -qq
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends python3 python3-venv >/dev/null
fi
echo "making $venv with the packages of requirements.lock (half a minute, two on a slow line)"
"$python" -m venv "$venv"
"$venv/bin/python" -m pip install -q --disable-pip-version-check -r requirements.lock
"$venv/bin/python" -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e . 2>/dev/null ||
    "$venv/bin/python" -m pip install -q --disable-pip-version-check --no-deps -e .
