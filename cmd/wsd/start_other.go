//go:build !linux

package main

import "os/exec"

func startWatched(cmd *exec.Cmd) (<-chan struct{}, error) { return startChild(cmd) }
