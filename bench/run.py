"""`make bench`: the figures that the project promises, each beside its peer in the same run. Nothing is asserted.

Needs a Docker engine and images (`labs images build`). Times are medians of ROUNDS interleaved rounds, in seconds.
"""

from __future__ import annotations

import json
import os
import re
import resource
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LABS = str(ROOT / ".venv/bin/labs")
ROUNDS = 5


def main() -> int:
    """Print every figure with its target."""
    home = Path(tempfile.mkdtemp(prefix="labs-bench-"))
    os.environ["LABS_HOME"] = str(home)
    try:
        labs("docker", "images", "build")
        figure("labs --help, CPU seconds", cpu([LABS, "--help"]), "<= 0.100")
        start_against_compose()
        several_against_compose("postgres", "redis", "mongodb")
        several_against_compose("postgres", "redis", "mongodb", "elasticsearch")
        embedded_warm_start()
        embedded_mongodb()
        elasticsearch()
        fresh_against_recreated()
        checks(home)
        saves(home)
    finally:
        for engine in ("docker", "embedded"):
            labs(engine, "clean", "--yes")
        shutil.rmtree(home, ignore_errors=True)
    return 0


def figure(name: str, value: float, target: str) -> None:
    print(f"{name:<72} {value:8.3f}   {target}", flush=True)


def labs(engine: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([LABS, *arguments], cwd=cwd, env={**os.environ, "LABS_ENGINE": engine}, text=True,
                          capture_output=True, stdin=subprocess.DEVNULL, check=False)


def timed(action: Callable[[], object]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began


def cpu(argv: list[str]) -> float:
    """Median user + system time of the process."""
    values = []
    for _ in range(ROUNDS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        values.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(values)


def local_images() -> dict[str, str]:
    """The variables that name the images built here: ``LABS_IMAGE_POSTGRES`` and the like."""
    from orchestrator import services
    from orchestrator.services.places import container_of

    table = json.loads((Path(os.environ["LABS_HOME"]) / "data/images.json").read_text())
    names = {container_of(services.recipe(name), {}).image: f"LABS_IMAGE_{name.upper()}" for name in services.names()
             if services.recipe(name).compose}
    return {names[upstream]: local for upstream, local in table.items() if upstream in names}


def peer(*names: str) -> Callable[..., None] | None:
    """`docker compose` on the files of these services with health checks; ``None`` where there is no such program."""
    found = subprocess.run([str(ROOT / "scripts/compose.sh")], capture_output=True, text=True, check=False)
    if found.returncode:
        print(f"start against docker compose: cannot run here: {found.stderr.strip()}")
        return None
    from orchestrator.system.ports import free_port

    argv = [found.stdout.strip(), "-p", "labsbench" + secrets.token_hex(3)]
    ports: dict[str, str] = {}
    for name in names:
        argv += ["-f", str(ROOT / f"compose/{name}.yaml"), "-f", str(ROOT / f"bench/healthchecks/{name}.yaml")]
        ports[f"LABS_{name.upper()}_PORT"] = str(free_port(avoid=[int(port) for port in ports.values()]))
    environment = {**os.environ, **local_images(), **ports}

    def compose(*words: str) -> None:
        done = subprocess.run([*argv, *words], env=environment, check=False, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"docker compose {' '.join(words)}: {done.stderr.strip()}")

    return compose


def several_against_compose(*names: str) -> None:
    """These services from nothing to ready, without Python's start, against the same peer."""
    compose = peer(*names)
    if compose is None:
        return
    from orchestrator import services
    from orchestrator.engines.docker.engine import DockerEngine
    from orchestrator.environments.facade import Environments
    from orchestrator.system.home import find_home

    home = find_home()
    engine = DockerEngine.connect(home.image_table)
    environments = Environments(engine, home, services.Recipes())
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(timed(lambda: environments.start("bench", "several", list(names))))
        environments.clean(["several"])
        theirs.append(timed(lambda: compose("up", "--wait", "--detach")))
        compose("down", "--volumes")
    engine.close()
    title = f"{len(names)} services to all ready:"
    figure(f"{title} labs ({', '.join(names)})", statistics.median(ours), "<= 5" if len(names) == 4 else "")
    figure(f"{title} docker compose up --wait", statistics.median(theirs), "")
    figure(f"{title} ratio", statistics.median(ours) / statistics.median(theirs), "<= 0.6")


def embedded_mongodb() -> None:
    """MongoDB as a plain process: from nothing to primary with its users, and emptied with five collections in it."""
    from orchestrator import services
    from orchestrator.engines.choose import choose
    from orchestrator.environments.facade import Environments
    from orchestrator.system.home import find_home

    home = find_home()
    engine = choose("embedded", home=home).engine
    recipe = services.recipe("mongodb")
    if not engine.offer(recipe).available:
        print(f"embedded MongoDB: cannot run here: {engine.offer(recipe).missing}")
        return
    from pymongo import IndexModel, MongoClient

    environments = Environments(engine, home, services.Recipes())
    starts, emptied = [], []
    for _ in range(ROUNDS):
        starts.append(timed(lambda: environments.start("bench", "mongo", ["mongodb"])))
        spec = environments.instance("mongo", "mongodb").spec
        url = recipe.environment(spec.endpoint, spec.credentials)["MONGODB_URL"]
        with MongoClient[dict[str, object]](url) as client:
            for name in "abcde":
                client.get_default_database()[name].create_indexes([IndexModel("x"), IndexModel("y")])
        emptied.append(timed(lambda: recipe.fresh(spec.endpoint, spec.credentials)))  # type: ignore[attr-defined]  # noqa: B023
        environments.clean(["mongo"])
    figure("MongoDB embedded, from nothing to primary with its users", statistics.median(starts), "<= 0.6")
    figure("MongoDB embedded, emptied (five collections with two indexes each)", statistics.median(emptied), "<= 0.1")


def elasticsearch() -> None:
    """Elasticsearch in a container: from nothing to its first good answer, and emptied with five indices in it."""
    from orchestrator import services
    from orchestrator.engines.docker.engine import DockerEngine
    from orchestrator.environments.facade import Environments
    from orchestrator.services.elasticsearch.evidence.rest import Rest
    from orchestrator.system.home import find_home

    home = find_home()
    engine = DockerEngine.connect(home.image_table)
    recipe = services.recipe("elasticsearch")
    environments = Environments(engine, home, services.Recipes())
    starts, emptied = [], []
    for _ in range(ROUNDS):
        starts.append(timed(lambda: environments.start("bench", "search", ["elasticsearch"])))
        spec = environments.instance("search", "elasticsearch").spec
        with Rest(spec.endpoint.host, spec.endpoint.port, 10) as rest:
            for name in "abcde":
                rest.put(f"/{name}/_doc/1", {"n": 1})
        emptied.append(timed(lambda: recipe.fresh(spec.endpoint, spec.credentials)))  # type: ignore[attr-defined]  # noqa: B023
        environments.clean(["search"])
    engine.close()
    figure("Elasticsearch, from nothing to its first good answer", statistics.median(starts), "<= 5")
    figure("Elasticsearch, emptied (five indices)", statistics.median(emptied), "<= 0.5")


def start_against_compose() -> None:
    """`labs start databases` from nothing, against `docker compose up --wait` of the same files with health checks."""
    compose, images = peer("postgres", "redis"), local_images()
    if compose is None:
        return
    ours, theirs, others = [], [], []
    for _ in range(ROUNDS):
        ours.append(timed(lambda: labs("docker", "start", "databases")))
        labs("docker", "clean", "--yes")
        theirs.append(timed(lambda: compose("up", "--wait", "--detach")))
        compose("down", "--volumes")
        others.append(by_testcontainers(images))
    figure("PostgreSQL + Redis to all ready: labs start", statistics.median(ours), "")
    figure("                                 docker compose up --wait", statistics.median(theirs), "")
    figure("                                 ratio", statistics.median(ours) / statistics.median(theirs), "<= 0.7")
    figure("                                 testcontainers, one after the other", statistics.median(others), "")
    figure("                                 ratio", statistics.median(ours) / statistics.median(others), "")


def by_testcontainers(images: dict[str, str]) -> float:
    """The same images by testcontainers, as its manual has it: until the log says that each is ready."""
    os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"  # there may be no registry to get it from
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    postgres = DockerContainer(images["LABS_IMAGE_POSTGRES"]).with_exposed_ports(5432)
    postgres.with_env("POSTGRES_PASSWORD", "x")
    redis = DockerContainer(images["LABS_IMAGE_REDIS"]).with_exposed_ports(6379)
    postgres.waiting_for(LogMessageWaitStrategy("ready to accept connections"))
    redis.waiting_for(LogMessageWaitStrategy("Ready to accept connections"))
    try:
        return timed(lambda: [one.start() for one in (postgres, redis)])
    finally:
        for one in (postgres, redis):
            one.stop()


def embedded_warm_start() -> None:
    """Stopped services to ready, by the engine itself and with the whole command around it."""
    labs("embedded", "start", "databases")
    values, inside = [], []
    for _ in range(ROUNDS):
        labs("embedded", "stop")
        began = time.monotonic()
        talk = labs("embedded", "start", "databases").stderr
        values.append(time.monotonic() - began)
        inside.append(max(float(seconds) for seconds in re.findall(r"wait done after ([\d.]+) s", talk)))
    figure("embedded warm start of both, from the first process to ready", statistics.median(inside), "<= 0.5")
    figure("embedded warm start of both, the whole command", statistics.median(values), "")


def fresh_against_recreated() -> None:
    """Emptying a judge instance's space, against removing and creating its container."""
    from orchestrator import services
    from orchestrator.engines.docker.engine import DockerEngine
    from orchestrator.environments.readiness import wait_ready
    from orchestrator.model import Endpoint, InstanceSpec
    from orchestrator.ownership import leases
    from orchestrator.services.base import Recipe
    from orchestrator.system.home import find_home
    from orchestrator.system.ports import free_port

    home = find_home()
    engine = DockerEngine.connect(home.image_table)
    with leases.hold(home, engine=engine.info().key, environment="bench", purpose="judge") as owner:
        for name, target in (("postgres", "<= 0.25"), ("redis", "<= 0.01")):
            recipe = services.recipe(name)
            spec = InstanceSpec(name, f"labs-bench-{owner.lease}-{name}", "bench", "databases", owner,
                                recipe.credentials(), free_port(), False, "bench")

            def create(spec: InstanceSpec = spec, recipe: Recipe = recipe) -> None:
                engine.create(spec, recipe)
                engine.start(spec.name)
                wait_ready(engine, recipe, spec)

            def recreate(spec: InstanceSpec = spec, create: Callable[[], None] = create) -> None:
                engine.remove(spec.name, data=True)
                create()

            create()
            fresh, recreated = [], []
            for _ in range(ROUNDS):
                fresh.append(timed(lambda: recipe.fresh(Endpoint(spec.port), spec.credentials)))  # noqa: B023
                recreated.append(timed(recreate))
            engine.remove(spec.name, data=True)
            figure(f"{name}: fresh space", statistics.median(fresh), "")
            figure(f"{name}: recreated container", statistics.median(recreated), "")
            figure(f"{name}: ratio", statistics.median(fresh) / statistics.median(recreated), target)
    engine.close()


def checks(home: Path) -> None:
    """`labs check` of the accepted Python solution, built before."""
    folder = home / "server"
    shutil.copytree(ROOT / "labs/databases/solutions/accepted/python", folder)
    for engine in ("docker", "embedded"):
        labs(engine, "check", "postgres/schema", cwd=folder)
        one = statistics.median(timed(lambda: labs(engine, "check", "postgres/schema", cwd=folder))  # noqa: B023
                                for _ in range(3))
        figure(f"{engine}: one milestone from command to verdict", one, "<= 3")
        began = time.monotonic()
        report = json.loads(labs(engine, "check", "--all", "--json", cwd=folder).stdout)["data"]
        every = len(report["milestones"])
        figure(f"{engine}: all {every} on the Python solution", time.monotonic() - began, "<= 45")
        running = sum(milestone["phases"].get("checks", 0) for milestone in report["milestones"])
        passed = sum(milestone["verdict"] == "pass" for milestone in report["milestones"])
        figure(f"{engine}:   of that, the checks themselves ({passed} of {every} passed)", running, "")


def saves(home: Path) -> None:
    """`labs watch` on the accepted solutions: from a save of a source file to the verdict, as it says itself."""
    for language, source, target in (("python", "server.py", "<= 1"), ("go", "main.go", "")):
        if language == "go" and shutil.which("go") is None:
            print("watch, Go: cannot run here: go was not found")
            continue
        folder = home / f"watched-{language}"
        shutil.copytree(ROOT / "labs/databases/solutions/accepted" / language, folder)
        labs("embedded", "check", "postgres/schema", cwd=folder)  # builds it
        watch = subprocess.Popen([LABS, "watch"], cwd=folder, env={**os.environ, "LABS_ENGINE": "embedded"}, text=True,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert watch.stdout is not None
        values: list[float] = []
        try:
            for line in watch.stdout:
                if found := re.search(r"([\d.]+) s from the save to the verdict", line):
                    values.append(float(found[1]))
                if len(values) > ROUNDS:
                    break
                if "waiting for a save" in line:
                    # As if nothing had passed: the same milestone is the next one each time. And at a person's pace:
                    # what is written right after a run is taken for the server's own.
                    shutil.rmtree(folder / ".labs")
                    time.sleep(1)
                    with (folder / source).open("a") as file:
                        file.write("\n")
        finally:
            watch.terminate()
            watch.wait(30)
            watch.stdout.close()
        figure(f"watch, {language}: from a save to the verdict", statistics.median(values), target)


if __name__ == "__main__":
    sys.exit(main())
