#!/bin/sh
# Installs the commands that the lab needs, if one is missing; as root.
set -eu
for command in ip tc nft nsenter nats-server; do
	command -v $command >/dev/null || missing=$command
done
if [ -n "${missing:-}" ]; then
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends iproute2 nftables util-linux nats-server >/dev/null
fi
