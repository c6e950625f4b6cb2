package admin

import (
	"fmt"
	"net"
	"os"
	"strings"
)

// loadToken returns the token in a file, nil when there is no file. White space
// around it, as the line end that editors leave, is not part of it.
func loadToken(file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--admin-token-file: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" {
		return nil, fmt.Errorf("--admin-token-file %s is empty: write a token into it (openssl rand -hex 32)", file)
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, fmt.Errorf("--admin-token-file %s holds more than one word of ASCII: "+
			"a bearer token is one (openssl rand -hex 32)", file)
	}
	return []byte(token), nil
}

// listen binds what the address resolves to, so that what was checked is what
// is bound. Without a token that has to be loopback. With a file, that listens
// there already.
func listen(address string, hasToken bool, file *os.File) (net.Listener, error) {
	if file != nil {
		defer file.Close() // FileListener makes a copy
	}
	if strings.HasPrefix(address, "unix:") {
		return nil, fmt.Errorf("--admin %s: the admin side listens on TCP only, as on 127.0.0.1:8067", address)
	}
	resolved, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("--admin %s: %w: write host:port, as in 127.0.0.1:8067", address, err)
	}
	if !hasToken && !resolved.IP.IsLoopback() {
		return nil, fmt.Errorf("--admin %s can be reached from other machines: "+
			"give --admin-token-file, or listen on 127.0.0.1", address)
	}
	if file != nil {
		l, err := net.FileListener(file)
		if err != nil {
			return nil, fmt.Errorf("--admin %s, as taken over: %w", address, err)
		}
		return l, nil
	}
	l, err := net.ListenTCP("tcp", resolved)
	if err != nil {
		return nil, fmt.Errorf("--admin %s: %w: choose another address, or none (--admin=)", address, err)
	}
	return l, nil
}
