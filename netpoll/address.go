package netpoll

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// mostPath is the longest path of a Unix socket, in bytes (unix(7)).
const mostPath = 107

// CheckAddress says what is wrong with an address as Listen takes it, as far as
// that shows without asking anybody.
func CheckAddress(addr string) error {
	_, _, _, err := parseAddress(addr)
	return err
}

// parseAddress returns the path of a Unix socket, or else host and port.
func parseAddress(addr string) (host string, port int, path string, err error) {
	if p, ok := strings.CutPrefix(addr, "unix:"); ok {
		switch {
		case p == "":
			return "", 0, "", errors.New("unix: is not followed by a path")
		case len(p) > mostPath:
			return "", 0, "", fmt.Errorf("the path has %d bytes: a Unix socket's has at most %d", len(p), mostPath)
		}
		return "", 0, p, nil
	}
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, "", errors.New("want host:port, :port or unix:/path")
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, "", fmt.Errorf("port %q is not a number from 0 to 65535", text)
	}
	return host, int(n), "", nil
}
