package bench

import (
	"bytes"
	"encoding/json"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"wsd/bench/report"
)

// What was not measured is in no output, rather than there as 0.
func TestNotMeasured(t *testing.T) {
	t.Parallel()
	s := start(t, &testServer{})
	r, _ := load(t, s, Plan{Clients: 2, PIDs: []int{0}}, closedLoop(2))
	text, _ := json.Marshal(r)
	var page, table bytes.Buffer
	if err := r.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	r.WriteTable(&table)
	for _, no := range []string{`"server"`, `"server_cpu"`, `"server_rss"`, "cpu_us_per_event\":0", "p99_us\":0,"} {
		if bytes.Contains(text, []byte(no)) {
			t.Errorf("the JSON has %s", no)
		}
	}
	for name, out := range map[string]string{"page": page.String(), "table": table.String()} {
		if strings.Contains(strings.ToLower(out), "server cpu") || strings.Contains(out, "waits") || strings.Contains(out, "server memory") {
			t.Errorf("the %s has the server:\n%s", name, out)
		}
	}
	if all, _ := report.ParseAssertions([]string{"rss<1"}); r.Check(&table, all) == nil {
		t.Error("an assertion on what was not measured holds")
	}
	r, _ = load(t, s, Plan{Clients: 2, PIDs: []int{os.Getpid()}}, closedLoop(2))
	table.Reset()
	if r.WriteTable(&table); !strings.Contains(table.String(), "server cpu") || r.Phases[1].Server.CPUSeconds == nil || len(r.Servers) != 1 || r.Servers[0].Found {
		t.Errorf("measured, and not there: %+v\n%s", r.Servers, &table)
	}
}

// A process that ends takes its figures along; they do not go below 0.
func TestServerGone(t *testing.T) {
	a := Sample{has: hasCPU | hasRSS, CPUSeconds: 5, RSSBytes: 100}
	b := Sample{At: 1e9, Gone: 1}
	var p report.Phase
	if account(&p, a, a, b, 0); p.Server != (report.Server{}) {
		t.Errorf("%+v", p.Server)
	}
}

// sleeper is a process that has the listener, and nothing else to do.
func sleeper(t *testing.T, l *net.TCPListener) int {
	t.Helper()
	f, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command("sleep", "60")
	cmd.ExtraFiles = []*os.File{f}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd.Process.Pid
}

// The server's process is found by its listening socket, if there is one of them.
func TestFindServer(t *testing.T) {
	t.Parallel()
	listen := func(addr string) (*net.TCPListener, []target) {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		at := l.Addr().(*net.TCPAddr).AddrPort()
		if at.Addr().IsUnspecified() {
			at = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), at.Port())
		}
		return l.(*net.TCPListener), []target{{Addr: netip.AddrPortFrom(at.Addr().Unmap(), at.Port())}}
	}
	for _, addr := range []string{"127.0.0.1:0", ":0"} {
		l, targets := listen(addr)
		if pids, warning := findServer(targets); pids != nil || warning != "" {
			t.Errorf("%s: this very process is measured as the server: %v %q", addr, pids, warning)
		}
		pid := sleeper(t, l)
		l.Close()
		await(t, func() bool { pids, _ := findServer(targets); return len(pids) == 1 && pids[0] == pid })
	}
	l, targets := listen("127.0.0.1:0")
	first, second := sleeper(t, l), sleeper(t, l)
	l.Close()
	await(t, func() bool {
		pids, warning := findServer(targets)
		return pids == nil && strings.Contains(warning, strconv.Itoa(first)) && strings.Contains(warning, strconv.Itoa(second)) && strings.Contains(warning, "told apart")
	})
	if pids, warning := findServer([]target{{Addr: netip.MustParseAddrPort("192.0.2.1:80")}, targets[0]}); pids != nil && warning != "" {
		t.Errorf("a server elsewhere: %v %q", pids, warning)
	}
}
