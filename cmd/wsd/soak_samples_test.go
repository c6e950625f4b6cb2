package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// measures are what is sampled. Clients and connections of the admin side are
// subtracted where they count, since their number is drawn. room is what may be
// gained in a window without a leak: what caches and pools settle to.
var measures = [...]measure{
	{"descriptors beside clients", 2, false},
	{"goroutines", 4, false},
	{"heap after a collection", 1 << 20, true},
	{"resident memory", 4 << 20, true},
	{"kernel: sockets without a client", 4, false},
	{"kernel: bytes in the sockets' queues", 2 << 20, true},
	{"kernel: TCP memory of the machine", 0, true}, // drawn only: others use it as well
}

type measure struct {
	name  string
	room  float64
	bytes bool
}

func (m *measure) text(v float64) string {
	if m.bytes {
		return fmt.Sprintf("%.0f KiB", v/1024)
	}
	return fmt.Sprintf("%.1f", v)
}

// unjudged is the first measure that is only drawn.
const unjudged = len(measures) - 1

type sample struct {
	at       time.Duration
	upgrades int // that came before
	v        [len(measures)]float64
	cpu      float64 // seconds, of this process
}

// take takes a sample. The heap comes last, behind a collection: else its
// saw-tooth would hide what is kept, and the collection would close the files
// that a leak has left to it.
func (s *soak) take() {
	s.t.Helper()
	m := s.scrape()
	p := sample{at: time.Since(s.began), upgrades: len(s.upgraded), cpu: m["process_cpu_seconds_total"]}
	sockets, queued := portSockets(s.t, s.l.listen)
	clients, admin := m["wsd_clients"], m["wsd_admin_connections"]
	p.v = [...]float64{m["process_open_fds"] - clients - admin, m["go_goroutines"] - admin, 0, m["process_resident_memory_bytes"],
		sockets - clients, queued, m["wsd_tcp_memory_bytes"]}
	if code, _ := s.l.http("GET", "/debug/pprof/heap?gc=1", ""); code != 200 {
		s.t.Fatalf("a heap profile: %d", code)
	}
	p.v[2] = s.scrape()["go_memstats_heap_alloc_bytes"]
	s.samples = append(s.samples, p)
}

// scrape reads /metrics. Series that a label tells apart are added up.
func (s *soak) scrape() map[string]float64 {
	s.t.Helper()
	code, text := s.l.http("GET", "/metrics", "")
	if code != 200 {
		s.t.Fatalf("metrics: %d", code)
	}
	m := map[string]float64{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, _, _ = strings.Cut(name, "{")
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			m[name] += v
		}
	}
	return m
}

// portSockets asks the kernel for the TCP sockets of one local port, listeners
// and TIME_WAIT left out: their number, those included that no process has any
// more, and the bytes in their queues. /proc/net/sockstat has the memory of the
// whole machine, and not every kernel lists the memory of single sockets.
func portSockets(t *testing.T, address string) (n, queued float64) {
	t.Helper()
	_, text, _ := net.SplitHostPort(address)
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		t.Fatal(err)
	}
	const timeWait, listen = "06", "0A"
	suffix := fmt.Sprintf(":%04X", port)
	for line := range strings.Lines(string(table)) {
		f := strings.Fields(line) // number, local address, remote address, state, sent:received
		if len(f) < 5 || !strings.HasSuffix(f[1], suffix) || f[3] == timeWait || f[3] == listen {
			continue
		}
		n++
		for half := range strings.SplitSeq(f[4], ":") {
			size, err := strconv.ParseUint(half, 16, 64)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			queued += float64(size)
		}
	}
	return n, queued
}

// What the kernel says of a port is what we have there.
func TestPortSockets(t *testing.T) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for i := range 3 {
		c, err := net.Dial("tcp4", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write(make([]byte, 10_000)); err != nil {
			t.Fatal(err)
		}
		var n, queued float64
		until(t, fmt.Sprintf("%d sockets hold what was sent", i+1), func() bool {
			n, queued = portSockets(t, ln.Addr().String())
			return n == float64(i+1) && queued == 10_000*n
		})
	}
}

// writeOut writes a file of the report, if it is asked for.
func (s *soak) writeOut(suffix, text string) {
	if out := os.Getenv("SOAK_OUT"); out != "" {
		if err := os.WriteFile(out+suffix, []byte(text), 0o644); err != nil {
			s.t.Error(err)
		}
	}
}
