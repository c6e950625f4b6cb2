package main

import (
	"cmp"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// version is set by a release build: -ldflags "-X main.version=v1.2.3".
var version string

type versionCmd struct{}

func (versionCmd) Run(stdout io.Writer) error {
	info, _ := debug.ReadBuildInfo()
	_, err := fmt.Fprintln(stdout, versionLine(version, info))
	return err
}

const unversioned = "(devel)"

// programVersion is the version alone.
func programVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return cmp.Or(version, info.Main.Version, unversioned)
	}
	return cmp.Or(version, unversioned)
}

// versionLine prefers the version that was set to the one of the module, and
// adds what the build knows of its origin.
func versionLine(set string, info *debug.BuildInfo) string {
	if info == nil {
		info = &debug.BuildInfo{}
	}
	line := "wsd " + cmp.Or(set, info.Main.Version, unversioned)
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if revision := settings["vcs.revision"]; revision != "" {
		line += fmt.Sprintf(" revision %.12s of %s", revision, settings["vcs.time"])
		if settings["vcs.modified"] == "true" {
			line += ", modified"
		}
	}
	return fmt.Sprintf("%s, %s %s/%s", line, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
