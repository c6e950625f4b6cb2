#!/bin/sh
# Records the files that package host reads, for a fixture: ./record.sh > NAME.txt
# Run it on the host to be recorded. It reads only, and writes to standard output.
# Look it over before it is shared: mount and control group paths may name things.
set -u
show() {
	for f in "$@"; do
		[ -r "$f" ] || continue
		printf '== %s ==\n' "${f#/}"
		cat "$f" 2>/dev/null
	done
}
some() {
	pattern=$1
	shift
	for f in "$@"; do
		[ -r "$f" ] || continue
		printf '== %s ==\n' "${f#/}"
		grep -E "$pattern" "$f"
	done
}
s=/proc/sys
show $s/kernel/osrelease $s/kernel/random/boot_id
show $s/fs/epoll/max_user_watches $s/fs/file-max $s/fs/file-nr $s/fs/nr_open
show $s/net/core/netdev_max_backlog $s/net/core/somaxconn
for k in ip_local_port_range tcp_abort_on_overflow tcp_max_orphans tcp_max_syn_backlog tcp_mem \
	tcp_rmem tcp_syncookies tcp_tw_reuse tcp_wmem; do
	show $s/net/ipv4/$k
done
for k in buckets count max tcp_timeout_established; do
	show $s/net/netfilter/nf_conntrack_$k
done
show $s/vm/swappiness /sys/kernel/mm/transparent_hugepage/enabled
show /proc/self/limits /proc/self/cgroup /proc/1/cgroup /proc/net/sockstat /proc/net/softnet_stat
some '^TcpExt' /proc/net/netstat
some '^(Uid|CapEff):' /proc/self/status
some ' (/|/proc|/proc/sys) r[ow],' /proc/self/mountinfo
some '^(MemTotal|MemAvailable|SwapTotal):' /proc/meminfo
show /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory.high /sys/fs/cgroup/memory.current /sys/fs/cgroup/memory.swap.max
some '^[^#]' /etc/systemd/system.conf /etc/systemd/system.conf.d/*.conf
for d in /lib /usr/lib /run /etc; do
	show $d/systemd/system/wsd.service $d/systemd/system/wsd.service.d/*.conf
done
for f in /.dockerenv /run/.containerenv /run/systemd/system; do
	[ -e "$f" ] && printf '== %s ==\n' "${f#/}"
done
exit 0
