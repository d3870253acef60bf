#!/usr/bin/env bash
# A Docker engine on a bare Debian machine, as root: installs it from packages, starts it, waits until it answers.
# A machine whose engine answers is used as it is, and nothing is installed there but what builds the base image.
# Safe to run twice. Exit status 3 with a reason: it cannot be done here.
set -euo pipefail

# The engine that `labs` would use: DOCKER_HOST, the context, the default socket.
answers() { command -v docker >/dev/null && timeout 5 docker version >/dev/null 2>&1; }
can_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }
install() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

if answers; then
  # Only for machines without an image registry; elsewhere the base is pulled.
  if can_install && ! command -v mmdebstrap >/dev/null; then
    install mmdebstrap || echo "mmdebstrap could not be installed: base images cannot be made here" >&2
  fi
  exit 0
fi
if [ -n "${DOCKER_HOST:-}" ]; then
  echo "no Docker engine answers at DOCKER_HOST=$DOCKER_HOST" >&2
  exit 3
fi
if ! can_install; then
  echo "no Docker engine answers, and this is not Debian as root" >&2
  exit 3
fi

command -v dockerd >/dev/null && command -v docker >/dev/null && command -v mmdebstrap >/dev/null \
  || install docker.io mmdebstrap iptables iproute2

# Where the package's own service has started it, it answers in a moment.
for _ in $(seq 20); do
  if answers; then exit 0; fi
  pgrep -x dockerd >/dev/null 2>&1 || break
  sleep 0.1
done
log=/var/log/labs-dockerd.log
setsid dockerd >"$log" 2>&1 </dev/null &
for _ in $(seq 300); do
  if answers; then exit 0; fi
  sleep 0.1
done
echo "dockerd does not answer after 30 s; its last lines:" >&2
tail -n 20 "$log" >&2
exit 1
