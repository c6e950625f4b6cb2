//go:build !nocluster && !noembed

package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```\n(?:```(?:text|json)\n(.*?)```)?")
	anyNumber  = regexp.MustCompile(`[0-9][0-9.:TZe-]*`)
)

// The commands of docs/cluster.md do what it says, as they stand, with numbers other
// than its own. There are fewer than fifty processes.
func TestClusterDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/cluster.md")
	if err != nil {
		t.Fatal(err)
	}
	dir, bin := t.TempDir(), t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(bin, "wsd")); err != nil {
		t.Fatal(err)
	}
	blocks := shellBlock.FindAllSubmatch(page, -1)
	if len(blocks) < 8 {
		t.Fatalf("there are %d blocks of commands", len(blocks))
	}
	for _, block := range blocks {
		script, want := string(block[1]), string(block[2])
		if strings.HasPrefix(script, "nats-server") {
			if _, err := exec.LookPath("nats-server"); err != nil {
				t.Log("there is no nats-server: its part is not tried")
				continue
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), asProgram+"=1", "PROCESSES=5")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		var out bytes.Buffer
		file, err := os.Create(filepath.Join(bin, "out")) // what runs on must not keep a pipe open
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdout, cmd.Stderr = file, file
		err = cmd.Run()
		cancel()
		if pid := cmd.Process.Pid; true {
			t.Cleanup(func() { _ = syscall.Kill(-pid, syscall.SIGKILL) })
		}
		text, _ := os.ReadFile(file.Name())
		out.Write(text)
		if err != nil {
			t.Fatalf("%s\n%v: %s", script, err, text)
		}
		if got := out.String(); plain(got) != plain(want) {
			t.Errorf("%s\nsays\n%s\nnot\n%s", script, got, want)
		}
	}
}

// plain leaves out what differs from run to run.
func plain(text string) string {
	return strings.TrimSpace(anyNumber.ReplaceAllString(text, "0"))
}
