"""What the target and its build find in their environment: an allow-list, so that nothing leaks by accident."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

COMMON = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|TMP|TEMP|XDG_\w+_(?:HOME|DIR)"
    r"|SSL_CERT_FILE|SSL_CERT_DIR"
    r"|PYENV\w*|VIRTUAL_ENV|GO\w+|CGO_\w+|NODE\w*|NVM_\w+|VOLTA_HOME|BUN_\w+|DENO_\w+|CARGO\w*|RUSTUP_\w+|RUSTC?_\w+"
    r"|JAVA_\w+|JDK_\w+|MAVEN_\w+|M2_HOME|GRADLE_\w+|DOTNET_\w+|NUGET_\w+|GEM_\w+|BUNDLE_\w+|RBENV_\w+|COMPOSER_\w+"
    r"|MIX_\w+|HEX_\w+|ASDF_\w+|MISE_\w+|SDKMAN_\w+|CC|CXX|CFLAGS|CXXFLAGS|LDFLAGS|PKG_CONFIG_PATH|SDKROOT"
)
BUILD = re.compile(
    r"PIP_\w+|UV_\w+|POETRY_\w+|(?:npm|NPM)_\w+|YARN_\w+|PNPM_\w+|CURL_CA_BUNDLE|REQUESTS_CA_BUNDLE|NODE_EXTRA_CA_CERTS"
    r"|(?:https?|no|all|ftp)_proxy|(?:HTTPS?|NO|ALL|FTP)_PROXY"
)
"""Only for builds: where packages come from, and through which proxy."""


def target_environment(
    *, port: int, run_id: str, services: Mapping[str, str], extra: Mapping[str, str],
    base: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """The target's environment: the allowed part of ours, the lab's ``extra``, the services' addresses, its port."""
    allowed = {name: value for name, value in base.items() if COMMON.fullmatch(name)}
    return {**allowed, **extra, **services, "PORT": str(port), "LABS_RUN": run_id}


def build_environment(*, run_id: str, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The build's environment: as the target's without addresses, with package sources and proxies."""
    allowed = {name: value for name, value in base.items() if COMMON.fullmatch(name) or BUILD.fullmatch(name)}
    return {**allowed, "LABS_RUN": run_id}
