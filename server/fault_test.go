//go:build faults

package server

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"wsd/netpoll"
)

func rearm(fd int) { netpoll.Rearm(fd) }

// FuzzFaults: scripts that the fuzzer finds.
func FuzzFaults(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(scriptOf(seed))
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 1<<10 {
			t.Skip("long scripts find what short ones do")
		}
		perform(t, script)
	})
}

// scriptOf is the script of a seed.
func scriptOf(seed uint64) []byte {
	rnd := rand.New(rand.NewPCG(seed, 0))
	script := make([]byte, 16+rnd.IntN(500))
	for i := range script {
		script[i] = byte(rnd.Uint32())
	}
	return script
}

// TestFaultSeeds: scripts from seeds, a fixed number of them, or random ones for
// FAULT_SECONDS; FAULT_SEED=N runs that one again, FAULT_SCRIPT=HEX a script.
func TestFaultSeeds(t *testing.T) {
	if text := os.Getenv("FAULT_SCRIPT"); text != "" {
		script, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		perform(t, script)
		return
	}
	run := func(seed uint64) bool {
		return t.Run(fmt.Sprintf("FAULT_SEED=%d", seed), func(t *testing.T) { perform(t, scriptOf(seed)) })
	}
	defer func() {
		n := &faultTotals
		t.Logf("%d scripts, %d sessions, %d publishes, %d faults in %d system calls", n.scripts.Load(), n.sessions.Load(),
			n.publishes.Load(), n.faults.Load(), netpoll.Calls())
	}()
	if text := os.Getenv("FAULT_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		run(seed)
		return
	}
	if text := os.Getenv("FAULT_SECONDS"); text != "" {
		seconds, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(time.Duration(seconds) * time.Second); time.Now().Before(end) && run(rand.Uint64()); {
		}
		return
	}
	for seed := range uint64(100) {
		if !run(seed) {
			return
		}
	}
}
