"""Run a Kubernetes control plane with kwok as the kubelet; each service environment is a namespace."""

import json
import secrets
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from typing import Any

from sandbox import contents
from sandbox.servers.kube import Api, ApiError
from sandbox.servers.registry import RegistryEndpoint
from sandbox.servers.supervisor import Child, Supervisor, World
from sandbox.world import HERE

_NODES = ("sandbox-node-1", "sandbox-node-2")

# What the sandbox has no use for costs memory and start time; everything a rollout touches runs.
_CONTROLLERS = (
    "deployment-controller,replicaset-controller,statefulset-controller,daemonset-controller,job-controller,"
    "cronjob-controller,namespace-controller,garbage-collector-controller,node-lifecycle-controller,"
    "endpointslice-controller,endpoints-controller,resourcequota-controller,disruption-controller,"
    "pod-garbage-collector-controller,horizontal-pod-autoscaler-controller"
)


@dataclass(frozen=True)
class ClusterEndpoint:
    """Where the cluster is."""

    kubeconfig: Path
    """Of its administrator."""
    kubectl: Path


@dataclass(frozen=True)
class _User:
    """A user of the API, known by a token."""

    name: str
    token: str
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Namespace:
    """A service in an environment, with the user who reads and the one who writes."""

    name: str
    view: _User
    deploy: _User
    view_file: str
    deploy_file: str


def start(world: World, supervisor: Supervisor, registry: RegistryEndpoint) -> ClusterEndpoint:
    """Start the control plane, the nodes and the namespaces; the deploy host's kubeconfigs are written too.

    They are `<namespace>.config` and `<service>-deploy-<environment>.config` in `host/etc/kubernetes`.
    """
    folder = world.folder("cluster", mode=0o750)
    admin = _user("admin", "system:masters")
    namespaces = tuple(
        _namespace(service.name, environment) for service in contents.SERVICES for environment in service.environments
    )
    _write_credentials(world, folder, [admin, *(u for space in namespaces for u in (space.view, space.deploy))])
    apiserver = _start_apiserver(world, supervisor, folder)
    authority = folder / "apiserver.crt"
    port = world.port("kube-apiserver")
    supervisor.wait_ready(apiserver, lambda: authority.exists() and _ready(port, authority, admin), 60)
    kubeconfig = world.write(folder / "admin.config", _kubeconfig(world, folder, admin, None), 0o600)
    _start_nodes(world, supervisor, folder, kubeconfig, admin, registry)
    api = Api(port, authority, admin.token)
    _create_namespaces(api, namespaces)
    host = world.folder("host", "etc", "kubernetes")
    for space in namespaces:
        for name, user in ((space.view_file, space.view), (space.deploy_file, space.deploy)):
            world.write(host / name, _kubeconfig(world, folder, user, space.name), 0o640)
    supervisor.wait_ready(apiserver, lambda: _nodes_ready(api), 60)
    return ClusterEndpoint(kubeconfig, world.tools.kubectl)


def _user(name: str, *groups: str) -> _User:
    return _User(name, secrets.token_urlsafe(24), groups)


def _namespace(service: str, environment: str) -> _Namespace:
    name, deploy = f"{service}-{environment}", f"{service}-deploy-{environment}"
    return _Namespace(name, _user(name, "view"), _user(deploy, "view", "deploy"), f"{name}.config", f"{deploy}.config")


def _write_credentials(world: World, folder: Path, users: list[_User]) -> None:
    lines = [f'{user.token},{user.name},{user.name},"{",".join(user.groups)}"\n' for user in users]
    world.write(folder / "tokens.csv", "".join(lines), 0o600)
    key, public = folder / "service-accounts.key", folder / "service-accounts.pub"
    world.run(
        [
            world.tools.openssl,
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-out",
            key,
        ]
    )
    world.run([world.tools.openssl, "pkey", "-in", key, "-pubout", "-out", public])


def _start_apiserver(world: World, supervisor: Supervisor, folder: Path) -> Child:
    client, peer = (f"http://127.0.0.1:{world.port(label)}" for label in ("etcd", "etcd-peer"))
    supervisor.spawn(
        "etcd",
        [
            world.tools.etcd,
            *("--name", "sandbox", "--data-dir", world.folder("etcd", mode=0o700), "--unsafe-no-fsync"),
            *("--listen-client-urls", client, "--advertise-client-urls", client),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--initial-cluster", f"sandbox={peer}", "--log-level", "warn"),
        ],
        stop_by=SIGKILL,
    )
    return supervisor.spawn(
        "kube-apiserver",
        [
            world.tools.kube_apiserver,
            *("--etcd-servers", client, "--cert-dir", folder),
            *("--bind-address", "127.0.0.1", "--secure-port", str(world.port("kube-apiserver"))),
            *("--service-account-key-file", folder / "service-accounts.pub"),
            *("--service-account-signing-key-file", folder / "service-accounts.key"),
            *("--service-account-issuer", "https://kubernetes.default.svc"),
            *("--service-cluster-ip-range", "10.96.0.0/16", "--endpoint-reconciler-type", "none"),
            *("--authorization-mode", "RBAC", "--token-auth-file", folder / "tokens.csv"),
            *("--disable-admission-plugins", "ServiceAccount"),
        ],
        # It would wait for its watchers, and what it keeps is thrown away.
        stop_by=SIGKILL,
    )


def _ready(port: int, authority: Path, admin: _User) -> bool:
    try:
        Api(port, authority, admin.token, 2).request("GET", "/readyz")
    except (ApiError, OSError):
        return False
    return True


def _start_nodes(
    world: World,
    supervisor: Supervisor,
    folder: Path,
    kubeconfig: Path,
    admin: _User,
    registry: RegistryEndpoint,
) -> None:
    """Start the controllers, the scheduler, and what stands for the kubelets."""
    api = Api(world.port("kube-apiserver"), folder / "apiserver.crt", admin.token)
    for name in _NODES:
        labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
        api.create("/api/v1/nodes", {"kind": "Node", "metadata": {"name": name, "labels": labels}})
    same: list[str | Path] = ["--kubeconfig", kubeconfig, "--authentication-kubeconfig", kubeconfig]
    same += ["--authorization-kubeconfig", kubeconfig, "--authentication-skip-lookup"]
    same += ["--leader-elect=false", "--bind-address", "127.0.0.1"]
    supervisor.spawn(
        "kube-controller-manager",
        [
            *(world.tools.kube_controller_manager, *same, "--controllers", _CONTROLLERS),
            *("--secure-port", str(world.port("kube-controller-manager"))),
            *("--cert-dir", world.folder("cluster", "controller-manager")),
            *("--service-account-private-key-file", folder / "service-accounts.key"),
            *("--kube-api-qps", "100", "--kube-api-burst", "200"),
        ],
    )
    supervisor.spawn(
        "kube-scheduler",
        [
            *(world.tools.kube_scheduler, *same, "--secure-port", str(world.port("kube-scheduler"))),
            *("--cert-dir", world.folder("cluster", "scheduler")),
        ],
    )
    stages = world.write(folder / "stages.yaml", (HERE / "servers" / "stages.yaml").read_text())
    supervisor.spawn(
        "kwok",
        [
            *(world.tools.kwok, "--kubeconfig", kubeconfig, "--manage-all-nodes=true", "--config", stages),
            # Without leases the nodes are taken for dead 40 s after the start, and their pods for unready.
            *("--v", "WARN", "--node-lease-duration-seconds=40", "--cidr", "10.64.0.1/16"),
            *("--server-address", f"127.0.0.1:{world.port('kwok')}"),
        ],
    )
    supervisor.spawn_module(
        "kubelet",
        "sandbox.servers.kubelet",
        *(str(world.port("kube-apiserver")), folder / "apiserver.crt", registry.address),
        env={"TOKEN": admin.token},
    )


def _nodes_ready(api: Api) -> bool:
    """Whether every node is ready and the taint of the unready ones is gone."""
    for node in api.request("GET", "/api/v1/nodes")["items"]:
        conditions = {c["type"]: c["status"] for c in node.get("status", {}).get("conditions", ())}
        if conditions.get("Ready") != "True" or node["spec"].get("taints"):
            return False
    return True


def _kubeconfig(world: World, folder: Path, user: _User, namespace: str | None) -> str:
    """A kubeconfig file; JSON is YAML too."""
    cluster = {
        "server": f"https://127.0.0.1:{world.port('kube-apiserver')}",
        "certificate-authority": str(folder / "apiserver.crt"),
    }
    context = {"cluster": "sandbox", "user": user.name} | ({"namespace": namespace} if namespace else {})
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "sandbox",
        "clusters": [{"name": "sandbox", "cluster": cluster}],
        "contexts": [{"name": "sandbox", "context": context}],
        "users": [{"name": user.name, "user": {"token": user.token}}],
    }
    return json.dumps(config, indent=1) + "\n"


_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_READ = ["get", "list", "watch"]
_WRITE = [*_READ, "create", "update", "patch", "delete", "deletecollection"]
_CORE = ["configmaps", "services", "serviceaccounts", "persistentvolumeclaims", "pods"]
_KINDS: dict[str, list[str]] = {
    "apps": ["deployments", "deployments/scale", "replicasets", "statefulsets", "daemonsets"],
    "batch": ["jobs", "cronjobs"],
    "networking.k8s.io": ["networkpolicies", "ingresses"],
    "autoscaling": ["horizontalpodautoscalers"],
    "policy": ["poddisruptionbudgets"],
    "discovery.k8s.io": ["endpointslices"],
}


def _rules(verbs: list[str], *more: str) -> list[dict[str, Any]]:
    rules = [{"apiGroups": [""], "resources": [*_CORE, *more], "verbs": verbs}]
    return rules + [{"apiGroups": [group], "resources": kinds, "verbs": verbs} for group, kinds in _KINDS.items()]


def _roles() -> dict[str, list[dict[str, Any]]]:
    """Who may do what in a namespace of theirs; the reader sees no Secret, so no `helm status` either."""
    also = ["events", "pods/log", "pods/status", "endpoints", "limitranges", "resourcequotas", "namespaces"]
    view = [
        *_rules(_READ, *also),
        {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": _READ},
    ]
    return {"deploy-host-view": view, "deploy-host-deploy": _rules(_WRITE, "secrets")}


def _create_namespaces(api: Api, namespaces: tuple[_Namespace, ...]) -> None:
    for name, rules in _roles().items():
        api.create(f"{_RBAC}/clusterroles", {"metadata": {"name": name}, "rules": rules})
    for space in namespaces:
        api.create("/api/v1/namespaces", {"kind": "Namespace", "metadata": {"name": space.name}})
        for role, users in (
            ("deploy-host-view", (space.view, space.deploy)),
            ("deploy-host-deploy", (space.deploy,)),
        ):
            api.create(f"{_RBAC}/namespaces/{space.name}/rolebindings", _binding(role, users))


def _binding(role: str, users: tuple[_User, ...]) -> dict[str, Any]:
    group = "rbac.authorization.k8s.io"
    return {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": role},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user.name} for user in users],
    }
