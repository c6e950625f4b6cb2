package cluster

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wsd/lab"
	"wsd/lab/checker"
)

// The clocks of the hosts are wrong: n2's is a day ahead and n3's an hour behind, and
// n2's monotonic clock is a day ahead, too. What has to pass is not measured by them: no
// deadline is over too early, no node is taken for gone, and a node that is killed and
// comes back is one that comes back. In the short form only the monotonic clock is wrong:
// for a program with another wall clock all of Go is built anew.
func TestWrongClocks(t *testing.T) {
	t.Parallel()
	program := ""
	if lab.Long() {
		program = wrongClock(t)
	}
	for name, external := range map[string]bool{"embedded": false, "external": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := build(t, external)
			s.settleNodes()
			for i, n := range s.nodes {
				n.program, n.under = program, []string{"env", fmt.Sprintf("%s=%d", clockAhead, int(ahead[i].Seconds()))}
			}
			if exec.Command("unshare", "--time", "true").Run() == nil { // a kernel may be without
				s.nodes[1].under = append(s.nodes[1].under, "unshare", "--time", fmt.Sprintf("--monotonic=%d", int(ahead[1].Seconds())), "--")
			}
			s.populate()
			if lab.Long() {
				s.clocksDiffer()
			}
			s.under(func() {
				for i, n := range s.nodes {
					s.Publish(checker.Publisher{Name: "deadline-" + n.name, Node: i, Query: "all&deadline=1m", Pause: 50 * time.Millisecond, Again: 3})
				}
				time.Sleep(faultTime())
				s.killAndReplace(s.nodes[1])
			})
		})
	}
}

// ahead is by how much the clocks of n1, n2 and n3 are.
var ahead = []time.Duration{0, 24 * time.Hour, -time.Hour}

// clocksDiffer checks that the nodes do tell the time so.
func (s *site) clocksDiffer() {
	s.t.Helper()
	for i, off := range ahead {
		_, body, err := s.ask(s.nodes[i], "GET", "/v1/nodes", "", "")
		var list struct {
			Nodes []struct {
				Node  string
				Since time.Time
			}
		}
		if err == nil {
			err = json.Unmarshal(body, &list)
		}
		if err != nil || len(list.Nodes) == 0 {
			s.t.Fatalf("the nodes: %s %v", body, err)
		}
		for _, n := range list.Nodes {
			if n.Node == s.nodes[i].name {
				if wrong := time.Until(n.Since) - off; wrong > time.Minute || wrong < -10*time.Minute {
					s.t.Errorf("%s began at %v: its clock is not %v ahead", n.Node, n.Since, off)
				}
			}
		}
	}
}

// clockAhead is the variable of the program that wrongClock builds: seconds.
const clockAhead = "CLOCK_AHEAD"

// wrongClock builds the program with a wall clock that clockAhead sets. The kernel has
// one for all its namespaces, and Go reads it past every library: so it is Go's own
// time.Now that adds what is wrong.
func wrongClock(t *testing.T) (file string) {
	t.Helper()
	dir := t.TempDir()
	file = filepath.Join(dir, "wsd")
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	now, err := os.ReadFile(filepath.Join(source, "time.go"))
	if err != nil {
		t.Fatal(err)
	}
	const reads = "\tsec, nsec, mono := runtimeNow()\n"
	if strings.Count(string(now), reads) != 1 {
		t.Fatal("this Go's time.Now is another: the test has to follow")
	}
	replace := map[string]string{}
	for name, text := range map[string]string{
		"time.go":  strings.Replace(string(now), reads, reads+"\tsec += clockAhead\n", 1),
		"ahead.go": "package time\n\nimport \"syscall\"\n\nvar clockAhead = func() int64 { v, _ := syscall.Getenv(\"" + clockAhead + "\"); n, _ := atoi(v); return int64(n) }()\n",
	} {
		replace[filepath.Join(source, name)] = filepath.Join(dir, name)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay := filepath.Join(dir, "overlay.json")
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err == nil {
		err = os.WriteFile(overlay, list, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "build", "-overlay", overlay, "-o", file, "wsd/cmd/wsd").CombinedOutput(); err != nil {
		t.Fatalf("building wsd with a wrong clock: %v: %s", err, out)
	}
	return file
}
