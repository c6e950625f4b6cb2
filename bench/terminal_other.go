//go:build !linux

package bench

import "os"

func terminalWidth(*os.File) (int, bool) { return 0, false }
