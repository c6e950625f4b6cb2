package vm

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// deaf connects n clients that never read.
func deaf(t *testing.T, address string, n int) (peers []*peer) {
	t.Helper()
	for range n {
		p, err := dial(address, patience)
		if err != nil {
			t.Fatal(err)
		}
		peers = append(peers, p)
	}
	t.Cleanup(func() { closeAll(peers) })
	return peers
}

// TestTCPMemory: with the memory for all sockets' data used up (net.ipv4.tcp_mem)
// by clients that do not read, those that do get all messages and are served. The
// others go as slow, as ever.
func TestTCPMemory(t *testing.T) {
	p := start(t, nil, "--pending-age=10s")
	well := join(t, p.listen, 20, 50*time.Millisecond)
	well.served("before")
	restore := set(t, "net.ipv4.tcp_mem", "200 300 400")
	deaf(t, p.listen, 40)
	before := tcpCounter(t, "TcpExt TCPMemoryPressures")
	const messages = 8
	for range messages {
		p.publish("all", 128<<10)
	}
	well.informed(messages)
	well.served("under pressure")
	if tcpCounter(t, "TcpExt TCPMemoryPressures") == before {
		t.Error("there was no pressure")
	}
	until(t, "those that do not read are gone", func() bool { well.well(); return p.stats().Closed["slow"] == 40 })
	restore()
	welcome(t, p.listen)
	well.served("afterwards")
}

// TestControlGroup: the server finds its limit in a control group of version 2, and
// what clients do does not make it grow beyond: the kernel kills nobody, and
// healthy clients are served.
func TestControlGroup(t *testing.T) {
	for _, c := range []struct {
		name, file string
		hard       float64
		settings   map[string]string
	}{
		{"memory.max", "/sys/fs/cgroup/wsd/memory.max", 64 << 20, map[string]string{"memory.max": "67108864", "memory.swap.max": "0"}},
		{"memory.high", "/sys/fs/cgroup/wsd/memory.high", 128 << 20, map[string]string{"memory.high": "67108864", "memory.max": "134217728"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && c.name != "memory.max" {
				t.Skip("one is enough")
			}
			for name := range c.settings { // without swap in the kernel there is no file for its limit
				if _, err := os.Stat("/sys/fs/cgroup/memory.swap.max"); name == "memory.swap.max" && err != nil {
					delete(c.settings, name)
				}
			}
			dir := group(t, c.settings)
			p := start(t, inside(t, dir), "--close-timeout=1s")
			line := p.said("memory")
			if line == nil || line["from"] != c.file || line["limit"] != "64MiB" {
				t.Errorf("the log says %v, want 64MiB from %s", line, c.file)
			}
			if n := p.metric("wsd_memory_limit_bytes"); n != c.hard {
				t.Errorf("the limit is %v bytes, by the metrics, want %v", n, c.hard)
			}
			if n := p.metric("wsd_memory_available_bytes"); n <= 0 || n >= c.hard {
				t.Errorf("%v bytes are available, by the metrics, of %v", n, c.hard)
			}
			well := join(t, p.listen, 20, 50*time.Millisecond)
			well.served("before")
			for _, d := range deaf(t, p.listen, 50) {
				if _, err := d.ask(`{"actioncode":"subscribe","data":{"topics":["large"]}}`); err != nil {
					t.Fatal(err)
				}
			}
			hoard(t, p.listen, 600)
			for range 40 {
				p.publish("topic=large", 1<<20)
			}
			until(t, "some go for want of memory", func() bool { well.well(); return p.stats().Closed["memory"] > 0 })
			p.publish("all", 128)
			well.informed(1)
			well.served("under attack")
			for line := range strings.Lines(read(t, dir, "memory.events")) {
				if f := strings.Fields(line); (f[0] == "oom" || f[0] == "oom_kill") && f[1] != "0" {
					t.Errorf("memory.events: %s", line)
				}
			}
			if p.over() {
				t.Fatal("the server is gone")
			}
			t.Logf("closed %v, now %s bytes in the group", closes(p.stats().Closed), strings.TrimSpace(read(t, dir, "memory.current")))
		})
	}
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// hoard has n clients each begin a message of 64 KiB, and not end it.
func hoard(t *testing.T, address string, n int) {
	t.Helper()
	begun := ws.MaskFrame(ws.NewTextFrame(make([]byte, 64<<10)))
	begun.Payload = begun.Payload[:60<<10]
	for _, p := range deaf(t, address, n) {
		if err := ws.WriteFrame(p, begun); err != nil {
			continue // it was closed for it
		}
	}
}
