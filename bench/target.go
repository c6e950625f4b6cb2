package bench

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// target is where clients connect to, resolved once, by the coordinator.
type target struct {
	Addr netip.AddrPort `json:"addr"`
	Host string         `json:"host"` // for the Host field
	Path string         `json:"path"` // with the query
}

// parseTarget reads a URL (RFC 6455, 3; RFC 3986) and finds its address.
func parseTarget(ctx context.Context, raw string, sources []netip.Addr) (target, error) {
	t, name, port, err := splitURL(raw)
	if err == nil {
		t.Addr, err = lookup(ctx, name, port, sources)
	}
	if err != nil {
		return target{}, fmt.Errorf("URL %q: %w", redact(raw), err)
	}
	return t, nil
}

// splitURL takes a URL apart; all but the address of the target is known then.
func splitURL(raw string) (t target, name string, port uint16, err error) {
	u, err := url.Parse(raw)
	if err != nil && !strings.Contains(raw, "://") { // host:port alone
		u, err = &url.URL{}, nil
	}
	if err != nil {
		return t, "", 0, err.(*url.Error).Err
	}
	switch name = u.Hostname(); {
	case u.Scheme == "wss":
		return t, "", 0, fmt.Errorf("TLS is not spoken here; connect to the server behind its TLS end")
	case u.Scheme != "ws" || name == "":
		return t, "", 0, fmt.Errorf("want ws://host:port/path, as in ws://127.0.0.1:8066/ws")
	case u.User != nil:
		return t, "", 0, fmt.Errorf("it has a user; a ws URL has none (RFC 6455, 3): use --header 'Authorization: Basic @FILE'")
	case strings.Contains(raw, "#"):
		return t, "", 0, fmt.Errorf("it has a fragment, which no ws URL has (RFC 6455, 3): write %%23 for a # that is meant")
	case strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return t, "", 0, fmt.Errorf("host %q is not ASCII: write its form for the DNS, which begins with xn--", name)
	}
	if port, err = portOf(u); err != nil {
		return t, "", 0, err
	}
	t.Host, _, _ = strings.Cut(name, "%") // a zone is this machine's own business (RFC 6874, 4)
	if strings.Contains(t.Host, ":") {
		t.Host = "[" + t.Host + "]"
	}
	if port != 80 {
		t.Host += ":" + strconv.Itoa(int(port))
	}
	u.RawQuery = escapeQuery(u.RawQuery)
	t.Path = u.RequestURI()
	return t, name, port, nil
}

func portOf(u *url.URL) (uint16, error) {
	if u.Port() == "" {
		return 80, nil
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("port %q is not a number from 1 to 65535", u.Port())
	}
	return uint16(n), nil
}

// escapeQuery escapes what cannot stand in a request line; net/url takes care of
// the path alone.
func escapeQuery(query string) string {
	var b strings.Builder
	for i := range len(query) {
		if c := query[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// lookup finds the address of a name that all clients connect to. Of several it
// is the one at which somebody answers first, as browsers do it (RFC 6555); if
// nobody does, the first, and the ramp says what is the matter.
func lookup(ctx context.Context, name string, port uint16, sources []netip.Addr) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(name); err == nil {
		return netip.AddrPortFrom(a.Unmap(), port), nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	all, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return netip.AddrPort{}, err
	}
	return reachable(ctx, all, port, sources)
}

const lookupTimeout = 20 * time.Second

// reachable is the first of the addresses, of the kind that the sources have, at
// which a connection can be made.
func reachable(ctx context.Context, all []netip.Addr, port uint16, sources []netip.Addr) (netip.AddrPort, error) {
	var fits []netip.AddrPort
	for _, a := range all {
		if a = a.Unmap(); len(sources) == 0 || a.Is4() == sources[0].Is4() {
			fits = append(fits, netip.AddrPortFrom(a, port))
		}
	}
	if len(fits) == 0 {
		return netip.AddrPort{}, fmt.Errorf("it has no address of the kind that the sources are")
	}
	if len(fits) == 1 {
		return fits[0], nil
	}
	each := lookupTimeout / time.Duration(2*len(fits))
	for _, a := range fits {
		c, err := (&net.Dialer{Timeout: each}).DialContext(ctx, "tcp", a.String())
		if err == nil {
			c.Close()
			return a, nil
		}
	}
	return fits[0], nil
}

func parseTargets(ctx context.Context, raw []string, sources ...netip.Addr) ([]target, error) {
	var all []target
	for _, r := range raw {
		t, err := parseTarget(ctx, r, sources)
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}
