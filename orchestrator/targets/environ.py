"""What the target and its build find in their environment: an allow-list, so that nothing leaks by accident."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

GO = "|".join(f"GO{name}" for name in (
    "PATH", "ROOT", "BIN", "CACHE", "MODCACHE", "TMPDIR", "ENV", "FLAGS", "PROXY", "NOPROXY", "SUMDB", "NOSUMDB",
    "PRIVATE", "INSECURE", "VCS", "OS", "ARCH", "AMD64", "ARM64", "TOOLCHAIN", "WORK",
    "111MODULE", "EXPERIMENT", "MAXPROCS", "MEMLIMIT", "GC", "DEBUG", "TRACEBACK", "RACE", "TELEMETRY",
))
"""Go's own variables by name: ``GO`` followed by anything would take Google's credentials along."""

COMMON = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|TERM|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|TMP|TEMP|XDG_\w+_(?:HOME|DIR)"
    r"|SSL_CERT_FILE|SSL_CERT_DIR"
    rf"|{GO}|CGO_\w+"
    r"|PYENV\w*|VIRTUAL_ENV|CONDA_PREFIX|PIP_CACHE_DIR"
    r"|UV_(?:CACHE_DIR|PYTHON\w*|PROJECT_ENVIRONMENT|OFFLINE|NO_\w+|FROZEN|LINK_MODE|TOOL_\w+)"
    r"|NODE_\w+|NVM_\w+|VOLTA_\w+|FNM_\w+|COREPACK_\w+|PNPM_HOME|(?:npm_config|NPM_CONFIG)_(?:cache|prefix|offline)"
    r"|BUN_\w+|DENO_\w+|CARGO_\w+|RUSTUP_\w+|RUSTC?_\w+|RUSTFLAGS"
    r"|JAVA_\w+|JDK_\w+|MAVEN_\w+|M2_HOME|GRADLE_\w+|DOTNET_\w+|NUGET_\w+|GEM_(?:HOME|PATH)|BUNDLE_\w+|RBENV_\w+"
    r"|COMPOSER_\w+|MIX_\w+|HEX_\w+|ASDF_\w+|MISE_\w+|SDKMAN_\w+"
    r"|CC|CXX|AR|CFLAGS|CXXFLAGS|LDFLAGS|PKG_CONFIG_PATH|SDKROOT|DEVELOPER_DIR|MACOSX_DEPLOYMENT_TARGET"
)
BUILD = re.compile(
    r"PIP_\w+|UV_\w+|POETRY_\w+|(?:npm_config|NPM_CONFIG|YARN|PNPM)_\w+|CURL_CA_BUNDLE|REQUESTS_CA_BUNDLE"
    r"|(?:https?|no|all|ftp)_proxy|(?:HTTPS?|NO|ALL|FTP)_PROXY"
)
"""Only for builds: where packages come from, and through which proxy. May hold the password of a private index."""

OFTEN = re.compile(r"(?:LD|DYLD)_\w*PATH|PYTHON(?:PATH|HOME)|CLASSPATH|(?:C|CPLUS)_INCLUDE_PATH|CPATH|LIBRARY_PATH")
"""Not passed on, since a shell's must not decide how a server runs; some builds work by them alone."""
USUAL = frozenset({"OLDPWD", "SHLVL"})

SECRET = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|AUTH|PRIVATE_KEY|API_?KEY|ACCESS_?KEY", re.IGNORECASE)
"""Whatever tool it belongs to (``CARGO_REGISTRY_TOKEN``, ``NODE_AUTH_TOKEN``): it was not meant for a server."""


def target_environment(
    *, port: int, run_id: str, services: Mapping[str, str], extra: Mapping[str, str],
    base: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """The target's environment: the allowed part of ours, the lab's ``extra``, the services' addresses, its port.

    Python writes at once what it prints, so that a server that is killed has said its last words.
    """
    return {**_common(base), "PYTHONUNBUFFERED": "1", **extra, **services, "PORT": str(port), "LABS_RUN": run_id}


OWN_PROGRAMS = (".venv/bin", "node_modules/.bin")
"""Where builds put programs inside a workspace, and with Python's its libraries."""


def with_own_programs(environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The same with the workspace's own programs first on PATH, as far as it has such folders."""
    own = [str(folder / name) for name in OWN_PROGRAMS if (folder / name).is_dir()]
    return {**environment, "PATH": os.pathsep.join([*own, environment.get("PATH", os.defpath)])}


def build_environment(*, run_id: str, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The build's environment: as the target's without addresses, with package sources and proxies."""
    sources = {name: value for name, value in base.items() if BUILD.fullmatch(name)}
    return {**_common(base), **sources, "LABS_RUN": run_id}


def _common(base: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in base.items() if COMMON.fullmatch(name) and not SECRET.search(name)}


def left_out(said: str, given: Mapping[str, str], *, base: Mapping[str, str] = os.environ) -> list[str]:
    """Variables of ours that a program did not get and that may be why it failed: it names them, or they often are."""
    named = set(re.findall(r"\b[A-Za-z_][A-Za-z0-9_]{3,}\b", said))
    return sorted(name for name in base if name not in given and name not in USUAL and (
        name in named or OFTEN.fullmatch(name)))
