package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// tune runs `wsd tune` with the arguments and returns what it prints.
func tune(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var c struct {
		Tune tuneCmd `cmd:""`
	}
	var out bytes.Buffer
	k, err := kong.New(&c, kong.Name("wsd"), kong.Writers(&out, &out), kong.Exit(func(int) { t.Fatalf("exit while parsing %q", args) }))
	if err != nil {
		t.Fatal(err)
	}
	ctx, err := k.Parse(append([]string{"tune"}, args...))
	if err != nil {
		return "", errors.Join(errUsage, err)
	}
	err = ctx.Run()
	return out.String(), err
}

var errUsage = errors.New("usage")

// recorded writes a small host that has room for 4,844 clients and could be
// tuned for more listening queue.
func recorded(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	for file, text := range map[string]string{
		"proc/self/limits":                         "Max open files            1024                 5000                 files\n",
		"proc/self/status":                         "Uid:\t0\t0\t0\t0\n",
		"proc/meminfo":                             "MemTotal: 8000000 kB\nMemAvailable: 7000000 kB\n",
		"proc/sys/net/core/somaxconn":              "128\n",
		"proc/sys/net/ipv4/tcp_mem":                "1000000 2000000 3000000\n",
		"proc/sys/fs/nr_open":                      "1048576\n",
		"sys/kernel/mm/transparent_hugepage/other": "",
	} {
		path := filepath.Join(root, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestTuneCheck(t *testing.T) {
	root := recorded(t)
	out, err := tune(t, "check", "--root", root, "--clients", "3000")
	if err != nil || !strings.Contains(out, "this host fits 3,000 clients") {
		t.Errorf("error %v, output\n%s", err, out)
	}
	out, err = tune(t, "check", "--root", root, "--loops", "2", "--clients", "4900")
	if err == nil || !strings.Contains(err.Error(), "as it is 4,844 fit (nofile hard)") || !strings.Contains(out, "--clients") && !strings.Contains(out, "VERDICT") {
		t.Errorf("error %v, output\n%s", err, out)
	}
	out, err = tune(t, "check", "--root", root, "--loops", "2", "--clients", "4900", "--json")
	var r struct {
		Fits       bool
		MaxClients int `json:"max_clients"`
	}
	if jerr := json.Unmarshal([]byte(out), &r); jerr != nil || err == nil || r.Fits || r.MaxClients != 4844 {
		t.Errorf("errors %v, %v; %+v from\n%s", err, jerr, r, out)
	}
	// Each of many loops has descriptors of its own, as in the server.
	out, err = tune(t, "check", "--root", root, "--loops", "64", "--clients", "4800")
	if err == nil || !strings.Contains(err.Error(), "as it is 4,644 fit (nofile hard)") {
		t.Errorf("64 loops: error %v, output\n%s", err, out)
	}
	if _, err := tune(t, "check", "--root", t.TempDir()); err == nil || !strings.Contains(err.Error(), "meminfo") {
		t.Errorf("a root without Linux: %v", err)
	}
}

// TestTuneCheckThisHost runs on the machine itself, whatever it is.
func TestTuneCheckThisHost(t *testing.T) {
	out, err := tune(t, "check", "--clients", "100", "--json")
	if !json.Valid([]byte(out)) {
		t.Errorf("error %v, output\n%s", err, out)
	}
}

func TestTunePrint(t *testing.T) {
	root := recorded(t)
	all, err := tune(t, "print", "--root", root, "--clients", "200000", "--message", "4KiB", "--connect-rate", "8000", "--heartbeat", "1m", "--load-generator")
	if err != nil {
		t.Fatal(err)
	}
	var parts string
	for what, want := range map[string]string{"sysctl": "net.core.somaxconn = 2048", "systemd": "LimitNOFILE=201024", "container": "--ulimit nofile=201024:201024"} {
		part, err := tune(t, "print", what, "--root", root, "--clients", "200000", "--message", "4KiB", "--connect-rate", "8000", "--heartbeat", "1m", "--load-generator")
		if err != nil || !strings.Contains(part, want) || !strings.Contains(all, part) {
			t.Errorf("print %s: error %v, no %q, or not part of all:\n%s", what, err, want, part)
		}
		parts += part
	}
	if len(all) != len(parts)+2 { // an empty line between two
		t.Errorf("all is %d bytes, its parts %d", len(all), len(parts))
	}
	if _, err := tune(t, "print", "hosts"); !errors.Is(err, errUsage) {
		t.Errorf("print of something else: %v", err)
	}
}

func TestTuneApplyAndRevert(t *testing.T) {
	root := recorded(t)
	state := filepath.Join(t.TempDir(), "tune.json")
	file := filepath.Join(root, "proc/sys/net/core/somaxconn")
	value := func() string {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(b))
	}
	step := func(want, line string, args ...string) {
		t.Helper()
		out, err := tune(t, append(args, "--root", root, "--state", state)...)
		if err != nil || !strings.Contains(out, line) || value() != want {
			t.Errorf("%q: error %v, somaxconn %s (want %s), no %q in\n%s", args, err, value(), want, line, out)
		}
	}
	step("128", "dry net.core.somaxconn: 128 -> 2048\n", "apply", "--dry-run", "--connect-rate", "8000", "--clients", "3000")
	step("2048", "set net.core.somaxconn: 128 -> 2048\n", "apply", "--connect-rate", "8000", "--clients", "3000")
	step("2048", "nothing to change\n", "apply", "--connect-rate", "8000", "--clients", "3000")
	step("2048", "    nofile hard: 5000, left as it is (", "apply", "--connect-rate", "8000", "--clients", "10000")
	step("2048", "dry net.core.somaxconn: 2048 -> 128\n", "revert", "--dry-run")
	step("128", `"done": true`, "revert", "--json")
	step("128", "nothing to change\n", "revert")
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/proc/sys/kernel/ngroups_max", file); err != nil { // that nobody can write
		t.Fatal(err)
	}
	out, err := tune(t, "apply", "--root", root, "--state", state, "--connect-rate", "1000000", "--clients", "3000")
	if err != nil || !strings.Contains(out, "nothing to change") {
		t.Errorf("65536 is enough: error %v, output\n%s", err, out)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/proc/sys/kernel/cap_last_cap", file); err != nil { // 40, and neither
		t.Fatal(err)
	}
	out, err = tune(t, "apply", "--root", root, "--state", state, "--connect-rate", "8000", "--clients", "3000")
	if err == nil || !strings.Contains(err.Error(), "1 settings could not be changed") || !strings.Contains(out, "refused") {
		t.Errorf("error %v, output\n%s", err, out)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("128\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	step("128", "[]\n", "revert", "--json")
}
