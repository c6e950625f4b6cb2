package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// terminalWidth is how many characters a line of the terminal f takes; 0 if it
// is none, or one on which nothing can be rewritten.
func terminalWidth(f *os.File) int {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil || os.Getenv("TERM") == "dumb" {
		return 0
	}
	return max(int(size.Col), 40)
}
