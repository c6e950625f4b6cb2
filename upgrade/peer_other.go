//go:build !linux

package upgrade

import (
	"errors"
	"net"
)

// Only Linux has what a handover takes; the server does not run elsewhere.

func peerOf(net.Conn) (uid, pid int, err error) { return 0, 0, errors.ErrUnsupported }
