package server

import (
	"net/netip"
	"slices"
	"time"

	"wsd/conn"
	"wsd/netpoll"
)

// Where a client comes from, if a proxy is in front. An address is believed as
// far as the one who tells it is one of ours:
//
//  1. stranger: with Config.ProxyProtocol, who is not in ProxyFrom is refused at
//     once, whatever it would say.
//  2. proxyHeader: the others begin with a PROXY header, before the request and
//     within the time for it. The address in it takes the place of the socket's.
//  3. forwarded: if the address so far is in ForwardedFrom, X-Forwarded-For has
//     the one that counts.
//
// A proxy's own address has no share (Config.MaxPerAddress). The client's is
// asked for its share when it is known. That may be after it got one of
// MaxHandshakes, and of HandshakeRate, which it gives back.

// trust is whose word on where a client comes from is believed.
type trust struct {
	networks conn.Networks
	unix     bool // who comes over a Unix socket, and has no address
}

// unixPeers stands for those in a list of networks.
const unixPeers = "unix"

// canonicalTrust is the one form of an item of such a list.
func canonicalTrust(item string) (string, error) {
	if item == unixPeers {
		return item, nil
	}
	p, err := conn.ParseNetwork(item)
	return p.String(), err
}

// trustOf has the items of a list that canonicalTrust has seen.
func trustOf(items []string) (t trust) {
	for _, item := range items {
		if item == unixPeers {
			t.unix = true
		} else if p, err := conn.ParseNetwork(item); err == nil {
			t.networks = append(t.networks, p)
		}
	}
	return t
}

func (t *trust) covers(peer netip.AddrPort) bool {
	if !peer.IsValid() {
		return t.unix
	}
	return t.networks.Contain(peer.Addr())
}

// checkProxies refuses lists of proxies that have no effect, or that any client
// is on.
func (c *Config) checkProxies() error {
	switch {
	case c.ProxyProtocol && len(c.ProxyFrom) == 0:
		return &ConfigError{"ProxyProtocol", true, "say with ProxyFrom which proxies there are: their networks, as in 192.0.2.0/24"}
	case !c.ProxyProtocol && len(c.ProxyFrom) > 0:
		return &ConfigError{"ProxyFrom", c.ProxyFrom[0], "it has no effect without ProxyProtocol: set that, or leave this out"}
	}
	if err := checkOverlap("ProxyFrom", c.ProxyFrom); err != nil {
		return err
	}
	if err := checkOverlap("ForwardedFrom", c.ForwardedFrom); err != nil {
		return err
	}
	for _, item := range c.ForwardedFrom {
		if p, err := netip.ParsePrefix(item); err == nil && p.Bits() == 0 {
			return &ConfigError{"ForwardedFrom", item, "any client could say that it is any other: name the proxies' networks alone"}
		}
	}
	return nil
}

func checkOverlap(field string, list []string) error {
	for _, item := range list {
		if i := slices.IndexFunc(list, func(other string) bool { return within(item, other) }); i >= 0 {
			return &ConfigError{field, item, "it is part of " + list[i] + ": leave it out"}
		}
	}
	return nil
}

// within reports whether one network is a part of another.
func within(item, other string) bool {
	p, err1 := netip.ParsePrefix(item)
	o, err2 := netip.ParsePrefix(other)
	return err1 == nil && err2 == nil && item != other && o.Bits() < p.Bits() && o.Contains(p.Addr())
}

// stranger says whether a newcomer is none of the proxies that all have to come
// through. What another HTTP server hands over has been let in there.
func (s *Server) stranger(n *newcomer) bool {
	return s.cfg.ProxyProtocol && n.request == nil && !s.proxies.covers(n.peer)
}

// turnAwayStranger ends such a connection without a word: what is to be said to
// it is not known, and it may be anybody.
func (a *acceptor) turnAwayStranger(l *loop, n *newcomer) {
	l.count.refusals[refusedStranger]++
	_ = netpoll.Abort(n.fd)
	if time.Since(a.warnedStranger) > 10*time.Second {
		a.warnedStranger = time.Now()
		from := unixPeers
		if n.peer.IsValid() {
			from = n.peer.Addr().String()
		}
		l.server.log.Warn("a connection that came through none of the proxies was refused", "address", from, "proxy-from", l.server.cfg.ProxyFrom)
	}
}

// via has the flags of a newcomer: what its proxy is still to say.
func (s *Server) via(n *newcomer) (f flags) {
	if s.cfg.ProxyProtocol && n.request == nil {
		f = flagProxyHeader | flagProxy
	}
	if s.forwarders.covers(n.peer) {
		f |= flagProxy
	}
	return f
}

// proxyHeader takes the PROXY header off what came of a client, and its address
// out of that. It returns what is behind it; ok is false if that is not to be
// looked at, because the header is not whole or is none.
func (l *loop) proxyHeader(slot uint32, c *client, in []byte) (rest []byte, ok bool) {
	n, peer, err := conn.ProxyHeader(in)
	if bad, is := err.(*conn.HTTPError); is {
		l.reject(slot, c, in, ReasonProxyHeader, bad)
		return nil, false
	}
	if n == 0 {
		l.keep(slot, c, in)
		return nil, false
	}
	c.clear(flagProxyHeader)
	if peer.IsValid() {
		l.relocate(slot, c, peer)
	}
	switch {
	case l.server.forwarders.covers(c.remote()): // it is told later
	case !peer.IsValid():
		l.count.n[nUnnamed]++
	default:
		ok = l.claimShare(c)
		return in[n:], ok || l.outOfShare(slot, c)
	}
	return in[n:], true
}

// forwarded takes the client's address out of a request that came through a
// proxy. ok is false if its share is used up, and it was told so. whole: the
// request is well; else the address, if it came at all, is for the log alone.
func (l *loop) forwarded(slot uint32, c *client, in []byte, whole bool) (ok bool) {
	if !l.server.forwarders.covers(c.remote()) {
		return true // the proxy has said with the PROXY protocol that it speaks for itself
	}
	peer, found := l.req.ForwardedFor(l.server.forwarders.networks)
	if peer.IsValid() {
		l.relocate(slot, c, peer)
	}
	switch {
	case !whole:
	case !found:
		l.count.n[nUnnamed]++
	case !l.claimShare(c):
		if l.outOfShare(slot, c) {
			l.reject(slot, c, in, ReasonRefused, l.server.later())
		}
		return false
	}
	return true
}

// relocate gives a client another address than its proxy's, which has taken no
// share. Among the handshakes under way it counts by that from here on.
func (l *loop) relocate(slot uint32, c *client, peer netip.AddrPort) {
	was := shareKey(c.addr)
	now := peer.Addr().As16()
	crowded := c.state == stateJoining && shareKey(now) != was
	if crowded {
		l.joined(c)
	}
	c.addr, c.port = now, peer.Port()
	if crowded {
		l.joins(slot, c) // and the entry of the old address is over
	}
}

// claimShare counts a client in the share of the address that it has got, unless
// that is used up. Who is refused anyway needs none.
func (l *loop) claimShare(c *client) bool {
	s := l.server
	c.clear(flagProxy)
	if s.cfg.MaxPerAddress <= 0 || c.state != stateJoining {
		return true
	}
	if !s.population.shares.enter(c.remote(), s.cfg.MaxPerAddress) {
		return false
	}
	c.set(flagCounted)
	return true
}

// outOfShare makes a client one of those that are told to come back later. false:
// there are too many of these already, and it is gone.
func (l *loop) outOfShare(slot uint32, c *client) bool {
	s := l.server
	l.count.refusals[refusedAddress]++
	s.unspent.Add(1)
	if s.population.refused.Load() >= s.refusals() {
		l.count.n[nTurnedAway]++
		l.kill(slot, c, ReasonRefused)
		return false
	}
	was := c.place()
	c.set(flagRefused)
	s.population.move(was, c.place())
	l.setState(c, stateRefused) // its time goes on
	return true
}
