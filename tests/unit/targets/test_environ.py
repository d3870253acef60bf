"""What the target and its build find in their environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.targets.environ import build_environment, target_environment, with_own_programs


def target(base: dict[str, str]) -> set[str]:
    return set(target_environment(port=1, run_id="r", services={}, extra={}, base=base))


@pytest.mark.parametrize("name", [
    "PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "XDG_CACHE_HOME", "GOPATH", "GOMODCACHE", "GOFLAGS", "NODE_PATH",
    "NODE_EXTRA_CA_CERTS", "VIRTUAL_ENV", "UV_CACHE_DIR", "CARGO_HOME", "RUSTUP_HOME", "JAVA_HOME", "MAVEN_OPTS",
    "PYENV_ROOT", "ASDF_DIR", "npm_config_cache", "SSL_CERT_FILE",
])
def test_toolchains_find_what_they_need(name: str) -> None:
    """Without them a program that works in the learner's shell would not work here."""
    assert name in target({name: "x"})
    assert name in build_environment(run_id="r", base={name: "x"})


@pytest.mark.parametrize("name", [
    "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "GOOGLE_APPLICATION_CREDENTIALS", "CARGO_REGISTRY_TOKEN", "NPM_TOKEN",
    "NODE_AUTH_TOKEN", "HEX_API_KEY", "COMPOSER_AUTH", "SSH_AUTH_SOCK", "LABS_HOME", "LABS_DOCKER_HOST", "PYTHONPATH",
    "PYTHONSTARTUP", "LD_PRELOAD", "LD_LIBRARY_PATH", "BASH_ENV", "DATABASE_URL", "PGPASSWORD", "DOCKER_HOST",
    "GOOD_NAME", "PATHX", "XPATH",
])
def test_what_is_not_listed_stays_outside(name: str) -> None:
    """Neither the target nor the build sees what belongs to the person, to `labs` or to another program."""
    assert name not in target({name: "x"})
    assert name not in build_environment(run_id="r", base={name: "x"})


@pytest.mark.parametrize("name", [
    "PIP_INDEX_URL", "UV_DEFAULT_INDEX", "npm_config_registry", "HTTPS_PROXY", "no_proxy",
])
def test_package_sources_and_proxies_are_for_builds_only(name: str) -> None:
    """A server that talks to its services on the loopback must not be sent through a proxy."""
    assert name not in target({name: "x"})
    assert build_environment(run_id="r", base={name: "x"})[name] == "x"


def test_addresses_win_over_the_shell_and_the_port_over_all() -> None:
    """The lab's and the services' values are the contract."""
    environment = target_environment(port=18_000, run_id="r", services={"REDIS_URL": "redis"},
                                     extra={"DB_POOL_MAX": "8", "PORT": "1", "LANG": "C.UTF-8"}, base={"LANG": "de"})

    assert environment["PORT"] == "18000"
    assert environment["LABS_RUN"] == "r"
    assert environment["LANG"] == "C.UTF-8"
    assert (environment["REDIS_URL"], environment["DB_POOL_MAX"]) == ("redis", "8")


def test_the_workspaces_own_programs_come_first(tmp_path: Path) -> None:
    """Those of its virtual environment, then those of its packages; what it does not have is not on PATH."""
    (tmp_path / ".venv/bin").mkdir(parents=True)
    assert with_own_programs({"PATH": "/usr/bin", "A": "b"}, tmp_path) == {
        "PATH": f"{tmp_path}/.venv/bin:/usr/bin", "A": "b"}

    (tmp_path / "node_modules/.bin").mkdir(parents=True)
    assert with_own_programs({"PATH": "/usr/bin"}, tmp_path)["PATH"] == (
        f"{tmp_path}/.venv/bin:{tmp_path}/node_modules/.bin:/usr/bin")
