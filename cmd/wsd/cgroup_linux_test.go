package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// cgroup is a control group of memory that a test has made, of either version.
type cgroup struct {
	dir, events, peak string // events has a line oom_kill
}

// newCgroup makes a group below the test's own, with so many bytes and no swap, or
// skips the test where that is not possible.
func newCgroup(t *testing.T, limit int64) cgroup {
	t.Helper()
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Skipf("there are no control groups: %v", err)
	}
	var why error
	for line := range strings.Lines(string(own)) {
		v := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(v) != 3 {
			continue
		}
		var g cgroup
		var files map[string]string
		switch name := fmt.Sprintf("wsd-test-%d-%d", os.Getpid(), limit); {
		case v[1] == "":
			g = cgroup{filepath.Join("/sys/fs/cgroup", v[2], name), "memory.events", "memory.peak"}
			files = map[string]string{"memory.swap.max": "0", "memory.max": strconv.FormatInt(limit, 10)}
		case strings.Contains(","+v[1]+",", ",memory,"):
			g = cgroup{filepath.Join("/sys/fs/cgroup/memory", v[2], name), "memory.oom_control", "memory.max_usage_in_bytes"}
			files = map[string]string{"memory.limit_in_bytes": strconv.FormatInt(limit, 10)}
		default:
			continue
		}
		if why = g.make(t, files); why == nil {
			return g
		}
	}
	t.Skipf("no control group of memory can be made here: %v", why)
	return cgroup{}
}

func (g cgroup) make(t *testing.T, files map[string]string) error {
	if err := os.Mkdir(g.dir, 0o755); err != nil {
		return err
	}
	t.Cleanup(func() {
		until(t, "the group is empty and gone", func() bool { return os.Remove(g.dir) == nil || os.IsNotExist(os.Remove(g.dir)) })
	})
	for file, value := range files {
		if err := os.WriteFile(filepath.Join(g.dir, file), []byte(value), 0); err != nil && !(file == "memory.swap.max" && os.IsNotExist(err)) {
			return err
		}
	}
	_, err := os.Stat(filepath.Join(g.dir, g.events))
	return err
}

// inside has a program run in the group from its first moment on.
func (g cgroup) inside(cmd *exec.Cmd) *exec.Cmd {
	cmd.Args = append([]string{"sh", "-c", `echo $$ >"$0" && exec "$@"`, filepath.Join(g.dir, "cgroup.procs"), cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	return cmd
}

// killed is how many of its processes the kernel has killed for want of memory.
func (g cgroup) killed(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(g.dir, g.events))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), " "); name == "oom_kill" {
			n, err := strconv.Atoi(value)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("%s has no count: %s", g.events, text)
	return 0
}

// most is what the group has taken at its peak, "" where that is not counted.
func (g cgroup) most() string {
	text, _ := os.ReadFile(filepath.Join(g.dir, g.peak))
	return strings.TrimSpace(string(text))
}
