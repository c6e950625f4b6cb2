package auth

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
)

// WarnExposed logs a line for each way in which others than root and this
// process's user may change a key file, or, if it is secret, read it. What is no
// regular file, a pipe say, is the caller's business.
func WarnExposed(log *slog.Logger, file string, secret bool) {
	for _, how := range exposed(file, secret, uint32(os.Geteuid())) {
		log.Warn("a key file is not safe from others", "file", file, "how", how)
	}
}

// exposed follows links: what counts is the file that they lead to, and the folder
// that it can be replaced in.
func exposed(file string, secret bool, user uint32) (how []string) {
	real, err := filepath.EvalSymlinks(file)
	if err != nil {
		return nil // it was read a moment ago
	}
	info, err := os.Stat(real)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	how = writable("the file", info, user)
	if secret && info.Mode()&0o004 != 0 {
		how = append(how, fmt.Sprintf("every user may read the secret (mode %04o: chmod o-r)", info.Mode().Perm()))
	}
	if dir, err := os.Stat(filepath.Dir(real)); err == nil && dir.Mode()&os.ModeSticky == 0 {
		how = append(how, writable("its folder", dir, user)...)
	}
	return how
}

// writable says who else may write it.
func writable(what string, info os.FileInfo, user uint32) (how []string) {
	if info.Mode()&0o022 != 0 {
		how = append(how, fmt.Sprintf("others may write %s (mode %04o: chmod go-w)", what, info.Mode().Perm()))
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != 0 && st.Uid != user {
		how = append(how, fmt.Sprintf("%s belongs to the user %d (chown root)", what, st.Uid))
	}
	return how
}
