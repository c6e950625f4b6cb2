package embed

import (
	"context"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"time"
)

// Peers may be a name with several addresses, as a headless service has it. The server
// looks it up by itself at each attempt to connect, takes one of the addresses, and is
// done when that answers, or when there is none but its own. So nodes that start at one
// moment may connect in pairs that never hear of each other, and one that starts before
// the others have an address never looks again.
//
// Therefore names are looked up again every lookupEvery, and each address that is
// neither this server's own nor connected becomes a route beside the configured ones,
// until the name does not have it any more.

const (
	lookupEvery  = 10 * time.Second
	lookupWithin = 5 * time.Second
)

// follow looks names up until the server is stopped: soon after the start, and then
// every lookupEvery ± a third. Two servers that connect to each other in the same moment
// take both connections for the second one, and have to begin anew.
func (s *Server) follow() {
	next := s.cfg.lookupEvery / 10
	for {
		next += rand.N(next)
		select {
		case <-time.After(next):
		case <-s.stopped:
			return
		}
		s.lookAgain()
		next = s.cfg.lookupEvery * 2 / 3 // to four thirds
	}
}

// lookAgain has the routes be those that are configured, and the addresses of names.
func (s *Server) lookAgain() {
	found, err := s.addresses()
	if err != nil {
		return // a name server that is away changes nothing
	}
	connected := s.connected()
	own := s.ownAddresses()
	next := slices.DeleteFunc(slices.Clone(s.found), func(address string) bool {
		return !slices.Contains(found, address) && !slices.Contains(connected, hostOf(address))
	})
	for _, address := range found {
		if !slices.Contains(next, address) && !slices.Contains(own, address) && !slices.Contains(connected, hostOf(address)) {
			next = append(next, address)
		}
	}
	if slices.Equal(next, s.found) {
		return
	}
	o := s.base.Clone()
	for _, address := range next {
		o.Routes = append(o.Routes, s.route(address))
	}
	if err := s.nats.ReloadOptions(o); err != nil {
		s.log.log.Error("nodes that a name stands for are not connected to", "error", err)
		return
	}
	s.found = next
}

// names are those of Peers that are no addresses.
func (c *Config) names() (list []string) {
	for _, peer := range c.Peers {
		if net.ParseIP(hostOf(peer)) == nil {
			list = append(list, peer)
		}
	}
	return list
}

// addresses are those of all names. It is an error if one is not found.
func (s *Server) addresses() (list []string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), lookupWithin)
	defer cancel()
	for _, peer := range s.cfg.names() {
		host, port, _ := net.SplitHostPort(peer) // routes has looked at it
		ips, err := s.cfg.lookup(ctx, host)
		if err != nil {
			return nil, err
		}
		for _, ip := range ips {
			list = append(list, net.JoinHostPort(ip, port))
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// connected are the addresses, without ports, of the nodes that there are routes to:
// of one that has connected to this one the port says nothing.
func (s *Server) connected() (list []string) {
	routes, err := s.nats.Routez(nil)
	if err != nil {
		return nil
	}
	for _, r := range routes.Routes {
		list = append(list, r.IP)
	}
	return list
}

// ownAddresses are where this server can be reached.
func (s *Server) ownAddresses() (list []string) {
	own := s.nats.ClusterAddr()
	if own == nil {
		return nil
	}
	list = append(list, own.String())
	if !own.IP.IsUnspecified() {
		return list
	}
	_, port, _ := net.SplitHostPort(own.String())
	interfaces, _ := net.InterfaceAddrs() // if it fails, the server finds out that it talks to itself
	for _, a := range interfaces {
		if n, ok := a.(*net.IPNet); ok {
			list = append(list, net.JoinHostPort(n.IP.String(), port))
		}
	}
	return list
}

func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return host
}

// route is the URL of another node.
func (s *Server) route(address string) *url.URL {
	u := &url.URL{Scheme: "nats", Host: address}
	if s.cfg.Secret != "" {
		u.User = url.UserPassword(user, s.cfg.Secret)
	}
	return u
}
