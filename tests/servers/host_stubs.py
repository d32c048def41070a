"""Stand-ins for helmfile, helm and kubectl that read and keep their state in one folder."""

import json
from pathlib import Path

HELMFILE = """#!/bin/sh
state=@state@
echo "helmfile $*" >>$state/calls
names=
while [ $# -gt 0 ]; do
    case $1 in
        --no-color) ;;
        -e) environment=$2; shift ;;
        -l) names="$names ${2#name=}"; shift ;;
        *) break ;;
    esac
    shift
done
[ "$environment" = staging ] || { echo "environment not found" >&2; exit 3; }
[ -f helmfile.yaml.gotmpl ] || { echo "no helmfile here" >&2; exit 1; }
echo "stderr of helmfile $1" >&2
case $1 in
    list) cat $state/list.json ;;
    diff)
        code=0
        for release in main canary; do
            echo "Comparing release=$release, chart=../../../charts/app, namespace=citoid-staging"
            if [ -s $state/body.$release ]; then cat $state/body.$release; code=2; fi
        done
        [ ! -e $state/diff.code ] || code=$(cat $state/diff.code)
        exit $code
        ;;
    apply)
        echo "SUPPRESS_SAL=${SUPPRESS_SAL:-}" >>$state/calls
        [ ! -e $state/apply.sh ] || . $state/apply.sh
        for release in ${names:-main canary}; do
            if [ -s $state/body.$release ]; then
                rm $state/body.$release
                echo $(($(cat $state/revision.$release) + 1)) >$state/revision.$release
            fi
        done
        ;;
esac
"""

HELM = """#!/bin/sh
state=@state@
echo "helm $*" >>$state/calls
[ ! -e $state/down ] || { echo "Error: Kubernetes cluster unreachable" >&2; exit 1; }
case $1 in
    list)
        comma=
        printf '['
        for release in main canary; do
            revision=$(cat $state/revision.$release)
            [ $revision = 0 ] && continue
            printf '%s{"name":"%s","namespace":"citoid-staging","revision":"%s","updated":"x","status":"%s","chart":"app-0.1"}' \\
                "$comma" $release $revision $(cat $state/status.$release)
            comma=,
        done
        echo ']'
        ;;
    history) echo '[{"revision":4,"description":"Upgrade complete"},{"revision":3,"description":"Rollback to 1"}]' ;;
esac
"""

KUBECTL = """#!/bin/sh
state=@state@
echo "kubectl $*" >>$state/calls
[ ! -e $state/down ] || { echo "The connection to the server was refused" >&2; exit 1; }
case "$*" in
    *"get secret"*) printf '{"name":"main","quarterdeck":"abc"}' ;;
    *) cat $state/objects.json ;;
esac
"""


def lay_out(folder: Path) -> None:
    """Put the programs into `bin` and their first state into `state`."""
    state = folder / "state"
    state.mkdir()
    (folder / "bin").mkdir()
    for name, text in {"helmfile": HELMFILE, "helm": HELM, "kubectl": KUBECTL}.items():
        path = folder / "bin" / name
        path.write_text(text.replace("@state@", str(state)))
        path.chmod(0o755)
    entries = [
        {"name": name, "namespace": "citoid-staging", "enabled": True, "installed": name != "old", "chart": "app"}
        for name in ("main", "canary", "old")
    ]
    (state / "list.json").write_text(json.dumps(entries))
    (state / "objects.json").write_text(json.dumps({"kind": "List", "items": [{"kind": "Pod"}]}))
