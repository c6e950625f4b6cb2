package bench

import (
	"os"

	"golang.org/x/sys/unix"
)

// terminalWidth is that of the terminal f, if it is one.
func terminalWidth(f *os.File) (int, bool) {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, false
	}
	return max(int(size.Col), 40), true
}
