package host

import (
	"net"
	"runtime/debug"
	"testing"

	"github.com/prometheus/procfs"
)

// BenchmarkSocket measures what estimate.go assumes of the kernel: bytes for an
// idle socket and its epoll entry, and pages of tcp_mem for one message that has
// not been read. Other programs' sockets disturb it; so run it alone:
//
//	go test ./host -run '^$' -bench Socket -benchtime 5000x
func BenchmarkSocket(b *testing.B) {
	debug.SetGCPercent(-1) // a collection would close nothing, but move memory about
	defer debug.SetGCPercent(100)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	clients, servers := make([]net.Conn, b.N), make([]net.Conn, b.N)
	slab := slabBytes(b)
	b.ResetTimer()
	for i := range b.N {
		if clients[i], err = net.Dial("tcp", l.Addr().String()); err != nil {
			b.Fatal(err)
		}
		defer clients[i].Close()
		if servers[i], err = l.Accept(); err != nil {
			b.Fatal(err)
		}
		defer servers[i].Close()
	}
	b.StopTimer()
	b.ReportMetric(float64(slabBytes(b)-slab)/float64(2*b.N), "kernel-B/socket")
	for _, m := range []struct {
		unit string
		size int
	}{{"pages/128B", 128}, {"pages/1KiB", 1024}, {"pages/4KiB", 4096}} {
		before := tcpPages(b)
		for _, c := range servers {
			if _, err := c.Write(make([]byte, m.size)); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(tcpPages(b)-before)/float64(b.N), m.unit)
		drain(b, clients, m.size)
	}
}

func drain(b *testing.B, clients []net.Conn, size int) {
	buf := make([]byte, size)
	for _, c := range clients {
		for n := 0; n < size; {
			k, err := c.Read(buf[n:])
			if err != nil {
				b.Fatal(err)
			}
			n += k
		}
	}
}

func slabBytes(b *testing.B) int64 {
	m, err := thisProc(b).Meminfo()
	if err != nil || m.SlabBytes == nil {
		b.Fatal("/proc/meminfo has no Slab: ", err)
	}
	return int64(*m.SlabBytes)
}

func tcpPages(b *testing.B) int64 {
	s, err := thisProc(b).NetSockstat()
	if err != nil {
		b.Fatal(err)
	}
	return orZero(protocol(s, "TCP").Mem)
}

func thisProc(b *testing.B) procfs.FS {
	proc, err := procfs.NewDefaultFS()
	if err != nil {
		b.Fatal(err)
	}
	return proc
}
