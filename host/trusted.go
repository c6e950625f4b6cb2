package host

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
)

// A state file says what root is to write into the kernel. So it has to be one
// that nobody but root, or whoever reads it, can have written, and it may only name
// what Apply sets.

// applied are the keys that Apply sets.
var applied = []string{
	"fs.epoll.max_user_watches", "fs.file-max", "fs.nr_open",
	"net.core.netdev_max_backlog", "net.core.somaxconn",
	"net.ipv4.ip_local_port_range", "net.ipv4.tcp_max_orphans", "net.ipv4.tcp_max_syn_backlog", "net.ipv4.tcp_mem",
	"net.ipv4.tcp_syncookies", "net.ipv4.tcp_tw_reuse",
	"net.netfilter.nf_conntrack_buckets", "net.netfilter.nf_conntrack_max", "net.netfilter.nf_conntrack_tcp_timeout_established",
	thpKey,
}

const thpKey = "transparent_hugepage"

// settable says whether Apply sets a key, and there.
func settable(key, path string) bool {
	if key == thpKey {
		return path == thpPath
	}
	return slices.Contains(applied, key) && path == sysctlPath(key)
}

// mostState bounds a state file, in bytes.
const mostState = 1 << 20

// readTrusted reads a file that is nobody else's.
func readTrusted(file string) ([]byte, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not hold us up
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if err := trusted(st, os.Geteuid()); err != nil {
		return nil, fmt.Errorf("state file %s is not used: %w", file, err)
	}
	return io.ReadAll(io.LimitReader(f, mostState))
}

// trusted is an error if another user than root and us may have written a file.
func trusted(st os.FileInfo, us int) error {
	owner, ok := st.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return errors.New("its owner cannot be told")
	case !st.Mode().IsRegular():
		return errors.New("it is no regular file")
	case owner.Uid != 0 && int(owner.Uid) != us:
		return fmt.Errorf("it is user %d's, and what it says would be set by user %d", owner.Uid, us)
	case st.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("others than its owner may write to it (mode %04o)", st.Mode().Perm())
	}
	return nil
}
