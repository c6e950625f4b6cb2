package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"wsd/lab"
)

var tookOver = regexp.MustCompile(`^process (\d+) has taken over from \d+: (\d+) clients, pause (\S+),`)

// upgrade has a node's process hand over to the program that is in its file.
func (s *site) upgrade(n *node) {
	s.t.Helper()
	out, err := n.host.Command(wsd, "upgrade", fmt.Sprintf("--pid=%d", n.pid)).CombinedOutput()
	said := tookOver.FindSubmatch(out)
	if err != nil || said == nil {
		s.t.Fatalf("the upgrade of %s: %v: %s", n.name, err, out)
	}
	n.pid, _ = strconv.Atoi(string(said[1]))
	s.t.Logf("%s: %s clients, a pause of %s", n.name, said[2], said[3])
}

// Upgrades of each node in turn. No client is closed, and every publish that waits for
// one is told in the end that all have it.
func TestUpgrades(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, s *site) {
		s.under(func() {
			for range lab.Form(2, 10) {
				for _, n := range s.nodes {
					s.upgrade(n)
					time.Sleep(lab.Form(100*time.Millisecond, time.Second))
				}
			}
		})
		for _, line := range s.Unanswered() {
			t.Errorf("a publish has no answer: %s", line)
		}
	})
}

// A node has an old version, from when clusters were new, the others this one. They are
// one cluster, also while the node is upgraded.
func TestMixedVersions(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "wsd")
	buildOldest(t, file)
	for name, external := range map[string]bool{"embedded": false, "external": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := build(t, external)
			s.settleNodes()
			old := s.nodes[1]
			old.program = filepath.Join(s.dir, "wsd")
			copyFile(t, file, old.program)
			s.populate()
			before := s.versionOf(old)
			s.under(func() {
				time.Sleep(lab.Form(time.Second, 20*time.Second))
				copyFile(t, wsd, old.program)
				s.upgrade(old)
				time.Sleep(lab.Form(time.Second, 20*time.Second))
			})
			if after := s.versionOf(old); after == before {
				t.Errorf("the version is %s before the upgrade and after it", after)
			}
		})
	}
}

// oldest came with the oldest version whose upgrades can be relied on: before it, a
// publish that came after the word that the node moves could stop its upgrade for ever.
const oldest = "lab/cluster/reached_linux_test.go"

// buildOldest builds the program as it was then, out of this repository's history.
func buildOldest(t *testing.T, file string) {
	t.Helper()
	git := func(args ...string) string {
		out, err := exec.Command("git", args...).Output()
		if err != nil {
			lab.Skip(t, fmt.Sprintf("a cluster of two versions needs this repository's history: git %s: %v", strings.Join(args, " "), err))
		}
		return strings.TrimSpace(string(out))
	}
	root := git("rev-parse", "--show-toplevel")
	if git("rev-parse", "--is-shallow-repository") != "false" {
		lab.Skip(t, "a cluster of two versions needs this repository's history, which is cut off")
	}
	commits := strings.Fields(git("-C", root, "log", "--diff-filter=A", "--format=%H", "--", oldest))
	if len(commits) == 0 {
		lab.Skip(t, "a cluster of two versions needs this repository's history")
	}
	commit := commits[len(commits)-1]
	dir := t.TempDir()
	git("-C", root, "archive", "--format=tar", "-o", filepath.Join(dir, "tar"), commit)
	if out, err := exec.Command("tar", "-xf", filepath.Join(dir, "tar"), "-C", dir).CombinedOutput(); err != nil {
		t.Fatalf("unpacking %s: %v: %s", commit, err, out)
	}
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-X main.version=oldest", "-o", file, "./cmd/wsd")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v: %s", commit, err, out)
	}
}

// copyFile puts a copy of a program in the place of another, which may be running.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to+".new", text, 0o700)
	}
	if err == nil {
		err = os.Rename(to+".new", to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// versionOf is what a node says of itself.
func (s *site) versionOf(n *node) string {
	s.t.Helper()
	_, body, err := s.ask(n, "GET", "/v1/nodes", "", "")
	found := regexp.MustCompile(`"node":"` + n.name + `","state":"[a-z]*","version":"([^"]*)"`).FindSubmatch(body)
	if err != nil || found == nil {
		s.t.Fatalf("the nodes: %s %v", body, err)
	}
	return string(found[1])
}
