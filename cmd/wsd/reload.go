package main

import (
	"os"
	"slices"
	"strings"
	"syscall"
)

// reload is SIGHUP: the files with keys are read again. One that is no good
// changes nothing, and the log says so.
func (d *daemon) reload() {
	again := func(file string, load func() error) {
		if err := load(); err != nil {
			d.log.Error("a key was not read again: the one before stays in force", "error", err)
			return
		}
		d.log.Info("key read again", "file", file)
	}
	if d.keys != nil {
		again(strings.Join(append(slices.Clone(d.keys.cfg.Files), d.keys.cfg.KeySets...), ", "), d.keys.reload)
	}
	if d.admin != nil && d.admin.TokenFile() != "" {
		again(d.admin.TokenFile(), d.admin.LoadToken)
	}
	d.log.Info("SIGHUP has all keys read again, and nothing else; wsd upgrade (or SIGUSR2) has the configuration")
}

// passOn gives the signals that come for this process to the one that has taken
// over: who sent them did not know.
func passOn(signals <-chan os.Signal, pid int) {
	for range signals {
		_ = syscall.Kill(pid, syscall.SIGHUP) // or it has ended as well
	}
}
