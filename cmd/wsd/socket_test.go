package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A server that stops leaves the socket of one that has taken its path alone,
// after an upgrade, too.
func TestSocketOfAnotherStays(t *testing.T) {
	for _, upgrades := range []int{0, 1} {
		file := filepath.Join(t.TempDir(), "wsd.sock")
		old := found(t, "", nil, "--listen=unix:"+file)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		young := serve(t, "--listen=unix:"+file)
		for range upgrades {
			old.succeed()
		}
		if err := syscall.Kill(old.pid, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		until(t, "the old server ends", func() bool { return gone(old.pid) })
		c := young.dial("/ws")
		if got := ask(t, c, `{"actioncode":"heart_beat"}`); got != heartBeat {
			t.Error(got)
		}
	}
}
