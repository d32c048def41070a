"""Play the kubelet's image pull: look each new pod's images up in the registry; kwok goes on from there.

kwok's templates cannot ask a registry, so the answer goes to annotations of the pod, and the stages take the
container's imageID, or the failed pull, from there.
"""

import http.client
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from sandbox.servers.kube import MERGE_PATCH, Api, ApiError

_ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_PULL = "kubelet.sandbox/pull"
_IDS = "kubelet.sandbox/image-ids"
_RETRY_SECONDS = 5


class Puller:
    """Finds the digest of an image; a digest found once stays good while the registry is down."""

    def __init__(self, registry: str) -> None:
        self._registry = registry
        self._pulled: dict[str, str] = {}

    def image_id(self, image: str) -> str | None:
        """`repository@digest` as a container runtime reports it, or None if the image cannot be had."""
        host, _, rest = image.partition("/")
        repository, _, tag = rest.rpartition(":")
        if host != self._registry or not repository:
            return None
        try:
            digest = self._digest(repository, tag)
        except (OSError, http.client.HTTPException):
            return self._pulled.get(image)
        if digest is None:
            return None
        self._pulled[image] = f"{host}/{repository}@{digest}"
        return self._pulled[image]

    def _digest(self, repository: str, tag: str) -> str | None:
        connection = http.client.HTTPConnection(self._registry, timeout=5)
        try:
            connection.request("HEAD", f"/v2/{repository}/manifests/{tag}", headers={"Accept": _ACCEPT})
            answer = connection.getresponse()
            answer.read()
            if answer.status >= 500:
                raise ConnectionError(f"the registry answered {answer.status}")
            return answer.headers["Docker-Content-Digest"] if answer.status == 200 else None
        finally:
            connection.close()


class Kubelet:
    """Annotates the pods; the watch and the retries each have a connection of their own."""

    def __init__(self, puller: Puller) -> None:
        self._puller = puller
        self._failed: dict[str, Any] = {}
        self._lock = threading.Lock()

    def look_at(self, api: Api, pod: Any) -> None:
        """Pull the images of a pod that is on a node and was not served yet."""
        metadata = pod["metadata"]
        served = metadata.get("annotations", {}).get(_PULL)
        if served or not pod["spec"].get("nodeName") or "deletionTimestamp" in metadata:
            return
        self._pull(api, pod)

    def _pull(self, api: Api, pod: Any) -> None:
        metadata = pod["metadata"]
        containers = [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]
        ids = {container["name"]: self._puller.image_id(container["image"]) for container in containers}
        done = all(ids.values())
        annotations = {_PULL: "done" if done else "failed", _IDS: json.dumps(ids)}
        with self._lock:
            again = self._failed.pop(metadata["uid"], None) is not None
            if not done:
                self._failed[metadata["uid"]] = pod
        if again and not done:
            return
        # The uid makes the server refuse if this name means another pod by now.
        patch = {"metadata": {"uid": metadata["uid"], "annotations": annotations}}
        try:
            api.request("PATCH", _path(metadata), patch, MERGE_PATCH)
        except ApiError as error:
            if error.status not in (404, 409):
                raise
            with self._lock:
                self._failed.pop(metadata["uid"], None)

    def retry(self, api: Api) -> None:
        """Pull what failed again, as a kubelet does; pods that are gone are forgotten."""
        with self._lock:
            failed = list(self._failed.values())
        for pod in failed:
            if _is_there(api, pod["metadata"]):
                self._pull(api, pod)
            else:
                with self._lock:
                    self._failed.pop(pod["metadata"]["uid"], None)


def _path(metadata: Any) -> str:
    return f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"


def _is_there(api: Api, metadata: Any) -> bool:
    try:
        now = api.request("GET", _path(metadata))["metadata"]
    except ApiError:
        return False
    return now["uid"] == metadata["uid"] and "deletionTimestamp" not in now


def main() -> None:
    """Serve one cluster until killed; arguments: API port, certificate, registry host:port. Token: $TOKEN."""
    port, authority, registry = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    token = os.environ["TOKEN"]
    kubelet = Kubelet(Puller(registry))

    def retries() -> None:
        api = Api(port, authority, token)
        while True:
            time.sleep(_RETRY_SECONDS)
            try:
                kubelet.retry(api)
            except (ApiError, OSError) as error:
                print(f"retry: {error}", flush=True)

    threading.Thread(target=retries, daemon=True).start()
    watcher, writer = Api(port, authority, token), Api(port, authority, token)
    while True:
        try:
            for pod in watcher.watch("/api/v1/pods"):
                kubelet.look_at(writer, pod)
        except (ApiError, OSError) as error:
            print(f"watch: {error}", flush=True)
            time.sleep(0.5)


if __name__ == "__main__":
    main()
