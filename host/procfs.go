package host

import "github.com/prometheus/procfs"

// What procfs reads is left to it. Read by hand (tree.go) are the settings, of
// which some are larger than its int; what it has for a process by number only,
// since a copy of /proc/self has none; and the hard limits, which it leaves out.

// readProc takes what procfs knows. A file that it cannot read is an absent fact.
func (f *Facts) readProc(t tree, dir string) {
	proc, err := procfs.NewFS(dir)
	if err != nil {
		return
	}
	if m, ok := read(proc.Meminfo); ok {
		f.Memory = Memory{Total: orZero(m.MemTotalBytes), Available: orZero(m.MemAvailableBytes), Swap: orZero(m.SwapTotalBytes)}
	}
	if s, ok := read(proc.NetSockstat); ok {
		f.TCPPages = orZero(protocol(s, "TCP").Mem)
	}
	lines, _ := read(proc.NetSoftnetStat)
	for _, s := range lines {
		f.SoftnetDrops += uint64(s.Dropped)
	}
	mounts, _ := read(proc.GetMounts)
	f.SysReadOnly = readOnlySys(mounts)
	f.Container = readContainer(t, *f, mounts)
}

// read calls a reader of procfs. It believes that the kernel wrote the file, and
// panics where a copy is cut short: that is a file that cannot be read.
func read[T any](reader func() (T, error)) (v T, ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	v, err := reader()
	return v, err == nil
}

// protocol is what a sockstat says of one, the zero value if nothing.
func protocol(s *procfs.NetSockstat, name string) procfs.NetSockstatProtocol {
	for _, p := range s.Protocols {
		if p.Protocol == name {
			return p
		}
	}
	return procfs.NetSockstatProtocol{}
}

// orZero is a number of procfs, 0 if the file had none.
func orZero[N int | uint64](n *N) int64 { return max(orNotKnown(n), 0) }

// orNotKnown is a number of procfs, NotKnown if the file had none.
func orNotKnown[N int | uint64](n *N) int64 {
	if n == nil {
		return NotKnown
	}
	return int64(*n)
}
