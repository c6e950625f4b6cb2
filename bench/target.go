package bench

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// target is where clients connect to, resolved once.
type target struct {
	addr netip.AddrPort
	host string // as in the URL, for the Host field
	path string // with the query
}

func parseTarget(ctx context.Context, raw string) (target, error) {
	u, err := url.Parse(raw)
	if err != nil && !strings.Contains(raw, "://") { // host:port alone
		u, err = &url.URL{}, nil
	}
	if err != nil {
		return target{}, fmt.Errorf("URL %q: %w", raw, err)
	}
	switch {
	case u.Scheme == "wss":
		return target{}, fmt.Errorf("URL %q: TLS is not spoken here; connect to the server behind its TLS end", raw)
	case u.Scheme != "ws" || u.Host == "":
		return target{}, fmt.Errorf("URL %q: want ws://host:port/path, as in ws://127.0.0.1:8066/ws", raw)
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return target{}, fmt.Errorf("URL %q: port %q is not a number from 1 to 65535", raw, port)
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Hostname())
	if err != nil {
		return target{}, fmt.Errorf("URL %q: %w", raw, err)
	}
	return target{addr: netip.AddrPortFrom(ips[0].Unmap(), uint16(n)), host: u.Host, path: u.RequestURI()}, nil
}

func parseTargets(ctx context.Context, raw []string) ([]target, error) {
	var all []target
	for _, r := range raw {
		t, err := parseTarget(ctx, r)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}
