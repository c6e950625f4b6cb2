//go:build !linux

package upgrade

import "os/exec"

func startWatched(cmd *exec.Cmd) (<-chan struct{}, error) { return startChild(cmd) }
