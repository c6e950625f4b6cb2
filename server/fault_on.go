//go:build faults

package server

import (
	"os"
	"syscall"
)

// faultVariable names a side and a step of a handover at which the process is
// to die, as in "old:frozen", or to hang, as in "new:ready:hang". docs/upgrade.md
// has the steps.
const faultVariable = "WSD_FAULT"

// faultAt returns what is called at each step of a handover on this side, "old"
// or "new".
func faultAt(side string) func(step string) {
	return func(step string) {
		switch os.Getenv(faultVariable) {
		case side + ":" + step:
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // until it arrives
		case side + ":" + step + ":hang":
			select {}
		}
	}
}
