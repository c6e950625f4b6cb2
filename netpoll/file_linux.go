package netpoll

import (
	"os"

	"golang.org/x/sys/unix"
)

// fileAt is the socket file at path, if there is one.
func fileAt(path string) (id FileID) {
	var st unix.Stat_t
	if path != "" && unix.Lstat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFSOCK {
		id = FileID{Dev: uint64(st.Dev), Ino: st.Ino}
	}
	return id
}

// removeFile removes the listener's own file. What lies in its place by now is
// somebody else's: a server that was started after this one's file was gone.
func (l *Listener) removeFile() {
	if l.file != (FileID{}) && fileAt(l.path) == l.file {
		_ = os.Remove(l.path)
	}
}

// File is the file that Close will remove, none if there is none.
func (l *Listener) File() FileID { return l.file }
