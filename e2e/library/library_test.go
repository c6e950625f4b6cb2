package library

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

const timeout = 5 * time.Minute

// block is a block of commands, and behind it what they print, if anything.
var block = regexp.MustCompile("(?m)^```sh\n((?s:.*?))^```\n(?:```text\n((?s:.*?))^```\n)?")

// The commands of docs/library.md work as printed, one after the other, and
// print what it says. They clone the last commit, not what is changed since.
func TestLibrary(t *testing.T) {
	page, err := os.ReadFile("../../docs/library.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := block.FindAllStringSubmatch(string(page), -1)
	if len(blocks) < 5 {
		t.Fatalf("only %d blocks were found", len(blocks))
	}
	script, prints := "", ""
	for _, b := range blocks {
		script, prints = script+b[1], prints+b[2]
	}
	script = strings.ReplaceAll(script, "127.0.0.1:8066", freeAddress(t))
	if said := run(t, t.TempDir(), script); said != prints {
		t.Errorf("the commands printed\n%s\nnot\n%s", said, prints)
	}
}

// freeAddress is one that nobody listens on at the moment.
func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// run has bash run script in dir, up to the first command that fails, and
// returns what it printed.
func run(t *testing.T, dir, script string) string {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	repository, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	// A checkout that belongs to another user is cloned as well.
	config := filepath.Join(t.TempDir(), "gitconfig")
	if err := os.WriteFile(config, []byte("[safe]\n\tdirectory = *\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "WSD="+repository, "GIT_CONFIG_GLOBAL="+config, "GOWORK=", "GOFLAGS=")
	cmd.WaitDelay = time.Second
	var failed strings.Builder
	cmd.Stderr = &failed
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, &failed)
	}
	return string(out)
}
