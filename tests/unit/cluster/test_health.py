"""What the pods say of a rollout, from objects as kubectl gives them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quarterdeck.core.cluster.health import Expected, Health, Memory, Verdict, judge, templates
from quarterdeck.core.cluster.objects import get
from quarterdeck.core.cluster.pods import pods, serving
from quarterdeck.core.cluster.workloads import pods_of, workloads

NOW = datetime(2026, 8, 17, 14, 0, tzinfo=UTC)
REPO = "registry.example/wikimedia/mediawiki-services-citoid"
NAME = "wikimedia/mediawiki-services-citoid"
DIGEST, OTHER = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
Object = dict[str, Any]


def spec(tag: str = "new", **more: Any) -> Object:
    """A pod spec with the service's container and a sidecar."""
    sidecar = {"name": "tls", "image": "registry.example/envoy:1"}
    return {"containers": [{"name": "main", "image": f"{REPO}:{tag}"}, sidecar], **more}


def deployment(replicas: int | None = 2, tag: str = "new", revision: str = "2", **status: Any) -> Object:
    """The Deployment of release main."""
    return {
        "kind": "Deployment",
        "metadata": {
            "name": "citoid-main",
            "uid": "d1",
            "generation": 5,
            "annotations": {"deployment.kubernetes.io/revision": revision, "meta.helm.sh/release-name": "main"},
        },
        "spec": {"template": {"spec": spec(tag)}, **({} if replicas is None else {"replicas": replicas})},
        "status": {"observedGeneration": 5, **status},
    }


def replica_set(name: str = "citoid-new", revision: str = "2", **status: Any) -> Object:
    """A ReplicaSet of that Deployment."""
    return {
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "uid": name,
            "labels": {"pod-template-hash": name[-3:]},
            "annotations": {"deployment.kubernetes.io/revision": revision},
            "ownerReferences": [{"kind": "Deployment", "name": "citoid-main", "uid": "d1"}],
        },
        "status": status,
    }


def pod(
    name: str,
    *statuses: Object,
    ready: bool = True,
    tag: str = "new",
    owner: str = "citoid-new",
    init: tuple[Object, ...] = (),
    **more: Any,
) -> Object:
    """A pod of a ReplicaSet."""
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    status: Object = {
        "phase": "Running",
        "conditions": conditions,
        "containerStatuses": list(statuses or [container()]),
    }
    if init:
        status["initContainerStatuses"] = list(init)
    status.update(more.pop("status", {}))
    metadata = {"name": name, "uid": name, "ownerReferences": [{"kind": "ReplicaSet", "uid": owner}], **more}
    return {"kind": "Pod", "metadata": metadata, "spec": spec(tag), "status": status}


def container(name: str = "main", restarts: int = 0, image_id: str = "", **more: Any) -> Object:
    """A container's status."""
    return {"name": name, "restartCount": restarts, "imageID": image_id, "ready": True, **more}


def waiting(reason: str, name: str = "main", **more: Any) -> Object:
    """A container that waits for a reason."""
    return container(name, ready=False, state={"waiting": {"reason": reason, "message": f"{reason}!"}}, **more)


def world(*pods: Object, **more: Any) -> list[Object]:
    """A Deployment with its new and old ReplicaSet and these pods."""
    return [deployment(**more), replica_set(), replica_set("citoid-old", "1"), *pods]


def old_pods(count: int = 2) -> list[Object]:
    """Pods of the template before."""
    return [pod(f"o{i}", owner="citoid-old", tag="old") for i in range(count)]


WANTED = Expected(images={f"{NAME}:new": frozenset()}, grace=45, soak=20)


def images(*references: str, digests: tuple[str, ...] = ()) -> Expected:
    """These images wanted, each by these digests."""
    return replace(WANTED, images=dict.fromkeys(references, frozenset(digests)))


def look(objects: list[Object], wanted: Expected = WANTED, memory: Memory | None = None, after: float = 0) -> Verdict:
    """One look, *after* seconds."""
    return judge(objects, wanted, memory or Memory(), NOW + timedelta(seconds=after))


def looks(objects: list[Object], *times: float, wanted: Expected = WANTED) -> Verdict:
    """The last of several looks at the same objects."""
    memory = Memory()
    for after in times:
        verdict = look(objects, wanted, memory, after)
        memory = verdict.memory
    return verdict


def test_success_needs_a_soak() -> None:
    """All new pods ready is a candidate; only after the soak with unchanged restarts it is a success."""
    objects = world(pod("a"), pod("b"))
    first = look(objects)
    assert (first.health, first.text, first.ready, first.wanted) == (
        Health.WAIT,
        "2/2 new pods, stable 0 of 20 s",
        2,
        2,
    )
    assert looks(objects, 0, 19).health is Health.WAIT
    done = looks(objects, 0, 10, 20)
    assert (done.health, done.text, done.stable) == (Health.OK, "2/2 new pods, stable 20 s", 20)
    assert done.digest == "not asked"
    assert looks(world(pod("a"), replicas=1), 0, 20).text == "1/1 new pod, stable 20 s"


def test_a_restart_begins_the_soak_anew() -> None:
    """A restart, or another pod, during the soak starts it again."""
    memory = look(world(pod("a"), pod("b"))).memory
    restarted = look(world(pod("a", container(restarts=1)), pod("b")), memory=memory, after=19)
    assert (restarted.health, restarted.stable) == (Health.WAIT, 0)
    assert look(world(pod("a"), pod("c")), memory=memory, after=30).stable == 0


def test_too_few_pods_or_old_ones_mean_waiting() -> None:
    """Until all new pods are ready and no old one is left, the verdict waits and says who serves."""
    verdict = look(world(pod("a"), pod("b", ready=False), *old_pods()))
    assert (verdict.health, verdict.text, verdict.old) == (Health.WAIT, "1/2 new pods, 2 old pods still serve", 2)
    assert look(world(pod("a"), pod("b"), *old_pods(1))).health is Health.WAIT
    ending = pod("o", owner="citoid-old", deletionTimestamp="2026-08-17T14:00:00Z")
    assert look(world(pod("a"), pod("b"), ending)).text == "2/2 new pods, stable 0 of 20 s"
    assert look(world(pod("a", deletionTimestamp="x"), pod("b"))).text == "1/2 new pods"


def test_crashes_are_bad_and_final_after_the_grace() -> None:
    """Crashing pods are named with exit code and what serves; the grace counts from the first sight."""
    crash = container(ready=False, restarts=1, lastState={"terminated": {"exitCode": 1, "message": "boom"}})
    crash["state"] = {"waiting": {"reason": "CrashLoopBackOff"}}
    objects = world(pod("a", crash, ready=False), pod("b", crash, ready=False), *old_pods())
    first = look(objects)
    assert first.health is Health.BAD
    assert not first.terminal
    assert first.text == "2/2 new pods crash (exit 1); 2/2 old pods serve"
    assert (first.reason, first.pod, first.container, first.exit_code) == ("Crash", "a", "main", 1)
    assert first.evidence[0].message == "boom"
    assert not looks(objects, 0, 44).terminal
    assert looks(objects, 0, 30, 45).terminal


@pytest.mark.parametrize(
    "status",
    [
        container(ready=False, state={"terminated": {"exitCode": 1}}),
        container(ready=False, state={"running": {}}, lastState={"terminated": {"exitCode": 1}}),
        waiting("CrashLoopBackOff", lastState={"terminated": {"exitCode": 1}}),
    ],
)
def test_all_phases_of_a_crash_loop_are_one_reason(status: Object) -> None:
    """A crash loop looks different each second; the grace goes on through all of it."""
    memory = look(world(pod("a", waiting("CrashLoopBackOff"), ready=False))).memory
    later = look(world(pod("a", status, ready=False)), memory=memory, after=45)
    assert (later.reason, later.terminal, later.exit_code) == ("Crash", True, 1)


def test_a_bad_reason_that_goes_away_is_forgotten() -> None:
    """The grace starts anew when the reason comes back, and with another template."""
    bad = world(pod("a", waiting("ErrImagePull"), ready=False))
    memory = look(bad).memory
    good = look(world(pod("a", ready=False)), memory=memory, after=30)
    assert good.health is Health.WAIT
    assert not look(bad, memory=good.memory, after=60).terminal
    other = [
        deployment(),
        replica_set("citoid-xyz"),
        pod("a", waiting("ErrImagePull"), ready=False, owner="citoid-xyz"),
    ]
    assert not look(other, memory=memory, after=60).terminal


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        (waiting("ErrImagePull"), "ImagePull", "1/1 new pods cannot pull their image"),
        (waiting("ImagePullBackOff"), "ImagePull", "cannot pull their image"),
        (
            waiting("CreateContainerConfigError"),
            "CreateContainerConfigError",
            "cannot start (CreateContainerConfigError)",
        ),
        (waiting("ErrImageNeverPull"), "ErrImageNeverPull", "cannot start"),
        (waiting("CrashLoopBackOff"), "Crash", "1/1 new pods crash"),
        (container(state={"terminated": {"reason": "OOMKilled", "exitCode": 137}}), "OOMKilled", "run out of memory"),
        (container(state={"terminated": {"exitCode": 0}}), "Crash", "crash (exit 0)"),
    ],
)
def test_bad_reasons_have_words(status: Object, reason: str, words: str) -> None:
    """Each way to fail is named in a few words."""
    verdict = look(world(pod("a", status, ready=False)))
    assert (verdict.health, verdict.reason) == (Health.BAD, reason)
    assert words in verdict.text


@pytest.mark.parametrize("reason", ["ContainerCreating", "PodInitializing", ""])
def test_normal_reasons_to_wait_are_not_bad(reason: str) -> None:
    """A container that is being created is no failure."""
    assert look(world(pod("a", waiting(reason), ready=False))).health is Health.WAIT


def test_some_reasons_need_no_grace() -> None:
    """An invalid image name and the Deployment's own deadline do not mend themselves."""
    assert look(world(pod("a", waiting("InvalidImageName"), ready=False))).terminal
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "m"}
    verdict = look(world(pod("a", ready=False), conditions=[late]))
    assert verdict.terminal
    assert verdict.text == "no progress within the Deployment's own deadline"


def test_what_pods_say_goes_before_what_their_deployment_concludes() -> None:
    """The Deployment's deadline only says that nothing came of it; the pods' own reason says why."""
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "m"}
    objects = world(pod("a", waiting("ImagePullBackOff"), ready=False), conditions=[late])
    first = look(objects)
    assert first.text == "no progress within the Deployment's own deadline"
    later = judge(objects, WANTED, first.memory, NOW + timedelta(seconds=WANTED.grace))
    assert later.text.startswith("1/1 new pods cannot pull their image")


def test_quota_is_named() -> None:
    """Pods that cannot be created are the ReplicaSet's or the Deployment's condition, with Kubernetes' words."""
    failure = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: pods"}
    text = "pods cannot be created: exceeded quota: pods"
    assert look(world(pod("o", owner="citoid-old"), conditions=[failure])).text.startswith(text)
    objects = [deployment(), replica_set(conditions=[failure]), pod("a")]
    assert look(objects).text == text


def test_init_containers_count() -> None:
    """A crashing init container is bad, one that has done its work is not."""
    broken = container("init", ready=False, state={"terminated": {"exitCode": 2}})
    verdict = look(world(pod("a", ready=False, init=(broken,))))
    assert (verdict.container, verdict.exit_code) == ("init", 2)
    done = container(
        "init", ready=True, state={"terminated": {"exitCode": 0}}, lastState={"terminated": {"exitCode": 1}}
    )
    assert look(world(pod("a", ready=False, init=(done,)))).health is Health.WAIT
    again = container("init", ready=False, state={"running": {}}, lastState={"terminated": {"exitCode": 3}})
    assert look(world(pod("a", ready=False, init=(again,)))).exit_code == 3
    once = container(
        "init", ready=False, state={"terminated": {"exitCode": 0}}, lastState={"terminated": {"exitCode": 1}}
    )
    assert look(world(pod("a", ready=False, init=(once,)))).health is Health.WAIT


def test_pods_without_a_node_or_evicted_are_bad() -> None:
    """An unschedulable or failed pod is named with its reason."""
    nowhere = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    pending = pod("a", status={"phase": "Pending", "conditions": [nowhere], "containerStatuses": []})
    assert look(world(pending)).text == "1/1 new pods find no node"
    evicted = pod("a", ready=False, status={"phase": "Failed", "reason": "Evicted", "containerStatuses": []})
    assert look(world(evicted)).reason == "Evicted"
    failed = pod("a", ready=False, status={"phase": "Failed", "containerStatuses": []})
    assert look(world(failed)).reason == "Failed"


def test_restarts_that_rise_are_bad() -> None:
    """Pods that are ready in between but restart again and again are bad; restarts of last week are not."""
    old = world(pod("a", container(restarts=9)), pod("b"))
    memory = look(old).memory
    assert look(old).health is Health.WAIT
    rising = look(world(pod("a", container(restarts=11)), pod("b")), memory=memory, after=5)
    assert (rising.health, rising.reason) == (Health.BAD, "Restarts")
    assert rising.text == "1/2 new pods keep restarting"


def test_the_worst_reason_speaks() -> None:
    """A reason whose grace is over goes before others, then the one that hits most pods."""
    objects = world(
        pod("a", waiting("ErrImagePull"), ready=False),
        pod("b", waiting("ErrImagePull"), ready=False),
        pod("c", waiting("CrashLoopBackOff"), ready=False),
    )
    assert look(objects).reason == "ImagePull"
    memory = look(world(pod("c", waiting("CrashLoopBackOff"), ready=False))).memory
    assert look(objects, memory=memory, after=50).reason == "Crash"
    assert len(look(objects).evidence) == 3


def test_only_the_newest_replica_set_is_judged() -> None:
    """Old pods may crash for reasons of their own."""
    crashing = pod("o", waiting("CrashLoopBackOff"), ready=False, owner="citoid-old", tag="old")
    assert look(world(pod("a"), crashing)).health is Health.WAIT
    foreign = pod("x", waiting("CrashLoopBackOff"), ready=False, owner="somebody")
    assert looks(world(pod("a"), pod("b"), foreign), 0, 20).health is Health.OK


def test_unseen_changes_are_waited_for() -> None:
    """Until the controller has seen the generation and made the ReplicaSet there is nothing to judge."""
    unseen = look([deployment(observedGeneration=4), replica_set(), pod("a")])
    assert unseen.text == "Deployment citoid-main: the controller has not seen the change yet"
    young = look([deployment(revision="3"), replica_set(), pod("a")])
    assert young.text == "Deployment citoid-main: no new ReplicaSet yet"
    bare = look([deployment(revision=""), replica_set(revision=""), pod("a")])
    assert bare.health is Health.WAIT
    late = {"type": "Progressing", "reason": "ProgressDeadlineExceeded"}
    failed = {"type": "ReplicaFailure", "status": "True"}
    stale = look([deployment(observedGeneration=4, conditions=[late, failed]), replica_set(), pod("a")])
    assert stale.health is Health.WAIT


def test_missing_data_is_no_verdict() -> None:
    """Nothing shown, nothing of the release, or no pods at all although some exist: cannot tell, memory kept."""
    memory = Memory(ready_since=NOW)
    assert look([], memory=memory).health is Health.UNKNOWN
    assert look([], memory=memory).memory == memory
    other_release = replace(WANTED, releases=frozenset({"other"}))
    assert look(world(pod("a")), other_release).text == "cannot tell: the cluster shows no workload"
    blind = look([deployment() | {"status": {"observedGeneration": 5, "replicas": 2}}])
    assert blind.text == "cannot tell: the cluster shows no pods"
    assert look([deployment(), replica_set()]).text == "0/2 new pods"


def test_no_replicas_is_said() -> None:
    """A workload with 0 replicas has nothing to see, and that is the verdict."""
    verdict = look([deployment(replicas=0), replica_set()])
    assert (verdict.health, verdict.text) == (Health.OK, "0 replicas wanted: nothing runs")
    assert look([deployment(replicas=None), replica_set()]).wanted == 1


def test_a_paused_deployment_is_bad() -> None:
    """A paused Deployment rolls nothing out."""
    paused = deployment()
    paused["spec"]["paused"] = True
    assert look([paused, replica_set(), pod("a")]).text == "the Deployment is paused"


def test_another_image_is_bad_once_applied() -> None:
    """Templates and new pods must carry the wanted tag; sidecars do not matter."""
    verdict = look(world(pod("a", tag="old"), tag="old"))
    assert (verdict.health, verdict.reason) == (Health.BAD, "AnotherImage")
    assert "another image: old instead of new" in verdict.text
    assert look(world(pod("a", tag="old"))).pod == "a"
    none = look(world(pod("a")), images("other/name:new"))
    assert none.text == "another image: no container runs other/name:new"
    assert look(world(pod("a")), images()).health is Health.WAIT
    assert look(world(pod("a")), images(f"{REPO}:new")).health is Health.WAIT


def test_while_the_apply_runs_the_old_image_is_no_failure() -> None:
    """Before helm has changed anything, the old template is not judged, bad pods or not."""
    watching = replace(WANTED, applied=False)
    bad = pod("o", waiting("CrashLoopBackOff"), ready=False, owner="citoid-old", tag="old")
    before = [deployment(tag="old", revision="1"), replica_set("citoid-old", "1"), bad]
    assert look(before, watching).text == "no new pods yet"
    ignoring = replace(watching, images={}, ignored_templates=templates(before))
    assert templates(before) == {"old"}
    assert look(before, ignoring).text == "no new pods yet"
    after = world(pod("a", waiting("CrashLoopBackOff"), ready=False), bad)
    assert look(after, ignoring).text == "1/1 new pods crash"
    assert look(after, replace(watching, ignored_templates=templates(before))).health is Health.BAD


def test_only_the_releases_asked_for_are_judged() -> None:
    """Workloads of other releases in the namespace do not count."""
    canary = deployment(replicas=8)
    canary["metadata"] |= {"name": "canary", "uid": "d2", "annotations": {"meta.helm.sh/release-name": "canary"}}
    objects = [*world(pod("a"), pod("b")), canary]
    main = replace(WANTED, releases=frozenset({"main"}))
    assert looks(objects, 0, 20, wanted=main).health is Health.OK
    assert look(objects).wanted == 10
    both = replace(main, releases=frozenset({"main", "canary"}))
    assert look(objects, both).text == "Deployment canary: no new ReplicaSet yet"


@pytest.mark.parametrize(
    ("image_id", "state", "told"),
    [
        (f"{REPO}@{DIGEST}", Health.OK, "match"),
        (f"docker-pullable://{REPO}@{DIGEST}", Health.OK, "match"),
        (f"{REPO}@{OTHER}", Health.BAD, "not asked"),
        (OTHER, Health.OK, "not shown"),
        (f"docker://{OTHER}", Health.OK, "not shown"),
        (f"{REPO}@sha256:short", Health.OK, "not shown"),
        ("", Health.OK, "not shown"),
    ],
)
def test_the_digest_must_be_the_registrys(image_id: str, state: Health, told: str) -> None:
    """Where the runtime shows a registry digest it must be the one the tag names; where not, that is said."""
    objects = world(pod("a", container(image_id=image_id), container("tls", image_id=f"x@{OTHER}")), replicas=1)
    verdict = looks(objects, 0, 20, wanted=images(f"{NAME}:new", digests=(DIGEST,)))
    assert (verdict.health, verdict.digest) == (state, told)
    if state is Health.BAD:
        assert verdict.text.startswith("1/1 new pods run another digest: sha256:bbb")
    else:
        assert ("digest not shown" in verdict.text) is (told == "not shown")


def release(name: str, image: str, image_id: str = "", template: str = "") -> list[Object]:
    """A release with a Deployment of one pod that runs an image."""
    made = [deployment(1), replica_set(f"rs-{name}"), pod(f"pod-{name}", container(image_id=image_id))]
    made[0]["metadata"] |= {"name": name, "uid": name}
    made[0]["metadata"]["annotations"]["meta.helm.sh/release-name"] = name
    made[1]["metadata"] |= {"uid": f"rs-{name}", "labels": {"pod-template-hash": name}}
    made[1]["metadata"]["ownerReferences"] = [{"kind": "Deployment", "uid": name}]
    made[2]["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "uid": f"rs-{name}"}]
    made[0]["spec"]["template"]["spec"] = {"containers": [{"name": "main", "image": template or image}]}
    made[2]["spec"] = {"containers": [{"name": "main", "image": image}]}
    return made


JS, PY = "registry.example/evaluator-javascript", "registry.example/evaluator-python"
EVALUATORS = ("evaluator-javascript:new", "evaluator-python:new")


def test_each_image_of_a_part_is_compared_with_its_own() -> None:
    """Two releases with an image each: both must run theirs, and one of them cannot stand for the other."""
    both = images(*EVALUATORS)
    good = [*release("js", f"{JS}:new"), *release("py", f"{PY}:new")]
    assert looks(good, 0, 20, wanted=both).health is Health.OK
    old = look([*release("js", f"{JS}:new"), *release("py", f"{PY}:old")], both)
    assert (old.reason, old.pod) == ("AnotherImage", "pod-py")
    assert old.text.startswith("1/2 new pods another image: old instead of new")
    alone = look(release("js", f"{JS}:new"), both)
    assert alone.text == "another image: no container runs evaluator-python:new"
    assert alone.health is Health.BAD
    other = images("evaluator-javascript:new", "evaluator-python:other")
    assert look(good, other).text.startswith("1/2 new pods another image: new instead of other")


def test_a_part_that_has_come_is_judged_while_the_apply_brings_the_rest() -> None:
    """A release that helm has reached already warns, whether the next one is not there yet or has its old template."""
    watching = replace(images(*EVALUATORS), applied=False)
    first = [*release("js", f"{JS}:new")]
    first[2]["status"]["containerStatuses"] = [waiting("CrashLoopBackOff")]
    rest = release("py", f"{PY}:old")
    assert look(first, watching).text.startswith("1/1 new pods crash")
    assert look([*first, *rest], watching).text == "no new pods yet"
    assert look([*first, *rest], replace(watching, ignored_templates=templates(rest))).reason == "Crash"
    first[2]["status"]["containerStatuses"] = [container()]
    assert look([*first, *rest], replace(watching, ignored_templates=templates(rest))).health is Health.WAIT
    assert look(release("x", "registry.example/x:1"), watching).text == "no new pods yet"


BOX = "registry.example/wikimedia/shellbox"
FLAVOURS = ("wikimedia/shellbox:T-score83", "wikimedia/shellbox:T-score81")


def test_several_flavours_of_one_repository() -> None:
    """Any of the wanted tags is right for a container of that repository, and each must be run by somebody."""
    wanted = images(*FLAVOURS)
    good = [*release("main", f"{BOX}:T-score83"), *release("next", f"{BOX}:T-score81")]
    assert looks(good, 0, 20, wanted=wanted).health is Health.OK
    one = look([*release("main", f"{BOX}:T-score83"), *release("next", f"{BOX}:T-score83")], wanted)
    assert one.text == "another image: no container runs wikimedia/shellbox:T-score81"
    old = look([*release("main", f"{BOX}:T-score83"), *release("next", f"{BOX}:S-score81")], wanted)
    assert old.text.startswith("1/2 new pods another image: S-score81 instead of T-score81 or T-score83")
    assert {e.message for e in old.evidence} == {"S-score81 instead of T-score81 or T-score83"}
    template = release("next", f"{BOX}:T-score81", template=f"{BOX}:S-score81")
    assert look([*release("main", f"{BOX}:T-score83"), *template], wanted).reason == "AnotherImage"


@pytest.mark.parametrize(
    ("shown", "asked", "state", "told"),
    [
        ((DIGEST, OTHER), (DIGEST, OTHER), Health.OK, "match"),
        ((DIGEST, ""), (DIGEST, OTHER), Health.OK, "not shown"),
        ((DIGEST, ""), (DIGEST, ""), Health.OK, "match"),
        ((DIGEST, OTHER), (DIGEST, ""), Health.OK, "match"),
        ((DIGEST, OTHER), ("", ""), Health.OK, "not asked"),
        ((OTHER, DIGEST), (DIGEST, OTHER), Health.BAD, "not asked"),
        ((DIGEST, DIGEST), (DIGEST, OTHER), Health.BAD, "not asked"),
    ],
)
@pytest.mark.parametrize("names", [EVALUATORS, FLAVOURS], ids=["two repositories", "two flavours"])
def test_each_digest_is_compared_with_its_own_reference(
    names: tuple[str, str], shown: tuple[str, str], asked: tuple[str, str], state: Health, told: str
) -> None:
    """A digest of one image is no excuse for another; all that were asked for must be shown to match."""
    wanted = replace(WANTED, images={n: frozenset({d} if d else ()) for n, d in zip(names, asked, strict=True)})
    objects: list[Object] = []
    for n, (name, digest) in enumerate(zip(names, shown, strict=True)):
        full = f"registry.example/{name}"
        objects += release(f"r{n}", full, f"{full.partition(':')[0]}@{digest}" if digest else "")
    verdict = looks(objects, 0, 20, wanted=wanted)
    assert (verdict.health, verdict.digest) == (state, told)
    assert verdict.health is Health.OK or verdict.reason == "AnotherDigest"
    assert ("digest not shown" in verdict.text) is (told == "not shown")


def test_an_image_that_no_pod_runs_has_no_digest_to_show() -> None:
    """Where a release wants no replicas, its template is right and its digest is not shown."""
    none = release("py", f"{PY}:new")[:2]
    none[0]["spec"]["replicas"] = 0
    objects = [*release("js", f"{JS}:new", f"{JS}@{DIGEST}"), *none]
    verdict = looks(objects, 0, 20, wanted=images(*EVALUATORS, digests=(DIGEST,)))
    assert (verdict.health, verdict.digest) == (Health.OK, "not shown")


def owned(kind: str, name: str, **labels: str) -> Object:
    """A ready pod of a StatefulSet or DaemonSet."""
    made = pod(name)
    owners = [{"kind": "Other", "name": "x"}, {"kind": kind, "name": "x"}]
    made["metadata"] |= {"labels": labels, "ownerReferences": owners}
    return made


def test_stateful_sets_are_judged_by_update_revision() -> None:
    """New pods carry the update revision; without one nothing is known."""
    meta = {"name": "x", "annotations": {"meta.helm.sh/release-name": "main"}}
    stateful = {
        "kind": "StatefulSet",
        "metadata": meta,
        "spec": {"replicas": 2, "template": {"spec": spec()}},
        "status": {"updateRevision": "r2"},
    }
    new = [owned("StatefulSet", f"n{i}", **{"controller-revision-hash": "r2"}) for i in range(2)]
    old = owned("StatefulSet", "o", **{"controller-revision-hash": "r1"})
    assert look([stateful, new[0], old]).text == "1/2 new pods, 1 old pods still serve"
    assert looks([stateful, *new], 0, 20).health is Health.OK
    assert look([stateful | {"status": {}}, *new]).text == "StatefulSet x: no revision yet"


def test_daemon_sets_are_judged_by_template_generation() -> None:
    """A DaemonSet wants as many pods as the scheduler says."""
    meta = {"name": "x", "annotations": {"deprecated.daemonset.template.generation": "7"}}
    daemon = {
        "kind": "DaemonSet",
        "metadata": meta,
        "spec": {"template": {"spec": spec()}},
        "status": {"desiredNumberScheduled": 1},
    }
    assert looks([daemon, owned("DaemonSet", "n", **{"pod-template-generation": "7"})], 0, 20).health is Health.OK
    assert look([daemon, owned("DaemonSet", "n", **{"pod-template-generation": "6"})]).old == 1


def test_what_serves_now_is_counted_by_tag() -> None:
    """Ready pods and all pods of the service's image, by tag; those that leave are not counted."""
    objects = [*world(pod("a"), *old_pods(3)), pod("x", ready=False, tag="bad"), pod("y", owner="alien", tag="alien")]
    assert serving(objects, [NAME]) == {"old": (3, 3), "new": (1, 1), "alien": (1, 1), "bad": (0, 1)}
    assert serving(objects, ["envoy"]) == {"1": (5, 6)}
    assert serving([], [NAME]) == {}
    leaving = pod("z")
    leaving["metadata"]["deletionTimestamp"] = "2026-08-17T14:00:00Z"
    assert serving([leaving], [NAME]) == {}
    pinned = pod("p")
    pinned["spec"] = {
        "containers": [{"image": f"localhost:5000/{NAME}:new@{DIGEST}"}, {"image": "localhost:5000/envoy"}]
    }
    assert serving([pinned], [NAME]) == {"new": (1, 1)}
    assert serving([pinned], ["envoy"]) == {"": (1, 1)}


def test_pods_of_a_workload() -> None:
    """All pods of all its ReplicaSets, and of nobody else."""
    objects = world(pod("a"), *old_pods(1), pod("x", owner="alien"))
    assert [get(p, "metadata", "name") for p in pods_of(objects[0], objects)] == ["a", "o0"]


FIELDS = [
    "metadata",
    "name",
    "spec",
    "status",
    "conditions",
    "type",
    "containers",
    "containerStatuses",
    "state",
    "waiting",
    "replicas",
    "template",
    "ownerReferences",
    "uid",
    "annotations",
    "image",
    "observedGeneration",
]
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(st.tuples(st.sampled_from(["Deployment", "StatefulSet", "ReplicaSet", "Pod"]), JUNK), max_size=5))
def test_any_objects_are_judged(shapes: list[tuple[str, Any]]) -> None:
    """Objects of any shape give a verdict, never an exception, and never a success."""
    objects = [{"kind": kind, **junk} if isinstance(junk, dict) else {"kind": kind} for kind, junk in shapes]
    verdict = looks(objects, 0, 100, wanted=images(f"{NAME}:new", "any:", digests=(DIGEST,)))
    assert verdict.health is not Health.OK or verdict.wanted == 0
    assert len(workloads(objects)) <= len(objects)
    serving(objects, [NAME])
    pods(objects, [NAME])
    templates(objects)
