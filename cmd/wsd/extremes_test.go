package main

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/alecthomas/kong"
)

// largest is the largest value that a flag of a number takes, "" for other flags.
func largest(flag *kong.Flag) string {
	switch flag.Target.Interface().(type) {
	case count:
		return "9223372036854775807"
	case size, *size:
		return "2305843009213693951"
	case span, *span:
		return "2562047h47m16.854775807s"
	}
	return ""
}

// flagsOf are those of a command that take a number.
func flagsOf(t *testing.T, path ...string) (flags []*kong.Flag) {
	t.Helper()
	parser, err := newParser(new(cli), io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	node := parser.Model.Node
	for _, name := range path {
		i := slices.IndexFunc(node.Children, func(c *kong.Node) bool { return c.Name == name })
		if i < 0 {
			t.Fatalf("no command %v", path)
		}
		node = node.Children[i]
	}
	for _, flag := range node.Flags {
		if largest(flag) != "" {
			flags = append(flags, flag)
		}
	}
	if len(flags) < 3 {
		t.Fatalf("%v has %d flags of a number", path, len(flags))
	}
	return flags
}

// mostExtreme is what a process may take at its peak, in KiB, whatever a flag says.
const mostExtreme = 200 << 10

// The largest number that a flag takes has the server serve, or say at once
// which flag it is: no number is counted up to, and none decides how much is
// allocated.
func TestServeExtremes(t *testing.T) {
	for _, flag := range flagsOf(t, "serve") {
		t.Run(flag.Name, func(t *testing.T) {
			t.Parallel()
			log, err := os.Create(filepath.Join(t.TempDir(), "log"))
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			cmd := program(t, nil, "serve", "--listen=127.0.0.1:0", "--admin=127.0.0.1:0", "--"+flag.Name+"="+largest(flag))
			cmd.Stdout, cmd.Stderr = log, log
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan struct{})
			go func() {
				_ = cmd.Wait()
				close(ended)
			}()
			said := ""
			over := func() bool {
				select {
				case <-ended:
					return true
				default:
					return false
				}
			}
			until(t, "it serves, or ends", func() bool {
				text, err := os.ReadFile(log.Name())
				said = string(text)
				return err != nil || strings.Contains(said, "msg=serving") || over()
			})
			if !over() {
				_ = cmd.Process.Signal(syscall.SIGTERM)
				until(t, "it stops", over)
			} else if text, _ := os.ReadFile(log.Name()); !strings.Contains(string(text), flag.Name) {
				t.Errorf("it ended with %d, and does not name the flag: %s", cmd.ProcessState.ExitCode(), text)
			}
			checkMemory(t, cmd.ProcessState)
		})
	}
}

func TestTuneExtremes(t *testing.T) {
	for _, flag := range flagsOf(t, "tune", "check") {
		t.Run(flag.Name, func(t *testing.T) {
			t.Parallel()
			cmd := program(t, nil, "tune", "check", "--"+flag.Name+"="+largest(flag))
			out, _ := cmd.CombinedOutput() // it does not fit
			if len(out) == 0 || cmd.ProcessState.ExitCode() < 0 {
				t.Errorf("%v: %s", cmd.ProcessState, out)
			}
			checkMemory(t, cmd.ProcessState)
		})
	}
}

// checkMemory bounds what a program took. The kernel counts what this process had
// when it started the program as well: at the fork both are one.
func checkMemory(t *testing.T, ended *os.ProcessState) {
	t.Helper()
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		t.Fatal(err)
	}
	if took := ended.SysUsage().(*syscall.Rusage).Maxrss; took > max(mostExtreme, own.Maxrss) {
		t.Errorf("it took %d MiB", took>>10)
	}
}
