#!/usr/bin/env bash
# A Docker engine on a bare Debian machine, as root: installs it from packages, starts it, waits until it answers.
# A machine whose engine answers is used as it is. Safe to run twice.
set -euo pipefail

answers() { [ -S /var/run/docker.sock ] && timeout 5 "$1" -H unix:///var/run/docker.sock version >/dev/null 2>&1; }

client=$(command -v docker || true)
if [ -n "$client" ] && answers "$client" && command -v mmdebstrap >/dev/null; then
  exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "no Docker engine answers, and this is not Debian as root: Docker legs cannot run here" >&2
  exit 3
fi
if ! command -v dockerd >/dev/null || ! command -v mmdebstrap >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends docker.io mmdebstrap iptables iproute2 >/dev/null
fi
client=/usr/bin/docker
if ! answers "$client"; then
  mkdir -p /var/log
  setsid dockerd >/var/log/labs-dockerd.log 2>&1 </dev/null &
  for _ in $(seq 300); do
    answers "$client" && exit 0
    sleep 0.1
  done
  tail -n 20 /var/log/labs-dockerd.log >&2
  exit 3
fi
