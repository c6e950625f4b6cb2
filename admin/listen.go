package admin

import (
	"net"
	"os"
	"strings"

	"wsd/server"
)

// loadToken returns the token in a file, nil when there is no file. White space
// around it, as the line end that editors leave, is not part of it.
func loadToken(file string) ([]byte, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, tokenError(file, err.Error())
	}
	if strings.HasPrefix(string(text), "\ufeff") {
		return nil, tokenError(file, "it begins with a byte order mark, which no client sends: save it without one")
	}
	token := strings.TrimSpace(string(text))
	if token == "" {
		return nil, tokenError(file, "it is empty: write a token into it (openssl rand -hex 32)")
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, tokenError(file, "it holds more than one word of ASCII: a bearer token is one (openssl rand -hex 32)")
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
	resolved, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, listenError(address, err.Error()+": write host:port, as in 127.0.0.1:8067")
	}
	if !hasToken && !resolved.IP.IsLoopback() {
		return nil, listenError(address, "it can be reached from other machines: give TokenFile, or listen on 127.0.0.1")
	}
	if file != nil {
		l, err := net.FileListener(file)
		if err != nil {
			return nil, listenError(address, "as taken over: "+err.Error())
		}
		return l, nil
	}
	l, err := net.ListenTCP("tcp", resolved)
	if err != nil {
		return nil, listenError(address, err.Error()+": choose another address, or none")
	}
	return l, nil
}

func listenError(address, want string) error {
	return &server.ConfigError{Field: "Listen", Value: address, Want: want}
}

func tokenError(file, want string) error {
	return &server.ConfigError{Field: "TokenFile", Value: file, Want: want}
}

// checkAddress says what is wrong with an address as far as that shows without
// asking anybody.
func checkAddress(address string) error {
	if strings.HasPrefix(address, "unix:") {
		return listenError(address, "the admin side listens on TCP only, as on 127.0.0.1:8067")
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return listenError(address, "write host:port, as in 127.0.0.1:8067")
	}
	if _, err := net.LookupPort("tcp", port); err != nil {
		return listenError(address, "its port is none: write a number from 0 to 65535")
	}
	return nil
}
