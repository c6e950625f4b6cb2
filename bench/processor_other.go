//go:build !linux

package bench

func processorName() string { return "" }
