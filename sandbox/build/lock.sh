#!/bin/sh
# Makes requirements.lock anew with Debian's own Python, the oldest that setup.cfg promises: newest versions that fit.
set -eu
python=${PYTHON:-/usr/bin/python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
"$python" -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q --disable-pip-version-check '.[test]'
"$folder/venv/bin/python" -m pip freeze --exclude quarterdeck --disable-pip-version-check | sort -f >requirements.lock
echo "requirements.lock has $(wc -l <requirements.lock) packages for $("$python" --version)"
