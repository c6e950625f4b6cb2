package main

import (
	"fmt"
	"io"
	"strings"
	"syscall"
	"time"
	"unicode"

	"wsd/upgrade"
)

// upgradeCmd asks a server that runs to hand its clients over to the program
// that is on disk now, and tells what became of it.
type upgradeCmd struct {
	PID int `placeholder:"PID" name:"pid" help:"Process of the server; needed only if there are several."`
}

// Run ends with an error if the old process serves on.
func (c *upgradeCmd) Run(stdout io.Writer) error {
	pid := c.PID
	if pid == 0 {
		var err error
		if pid, err = upgrade.Find(); err != nil {
			return fmt.Errorf("%w: name one by --pid", err)
		}
	}
	r, err := upgrade.Ask(pid)
	if err != nil {
		return fmt.Errorf("--pid %d: %w", pid, err)
	}
	if r.Error != "" {
		return fmt.Errorf("process %d serves on: %s", pid, printable(r.Error))
	}
	_, err = fmt.Fprintf(stdout, "process %d has taken over from %d: %d clients, pause %v, version %s\n",
		r.PID, pid, r.Clients, time.Duration(r.Pause*float64(time.Second)).Round(10*time.Microsecond), printable(r.Version))
	return err
}

// signalUpgrade asks a process for an upgrade without an answer.
const signalUpgrade = syscall.SIGUSR2

// printable leaves nothing in a text that a terminal would obey.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, text)
}
