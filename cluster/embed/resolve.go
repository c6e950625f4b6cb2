package embed

import (
	"context"
	"net"
	"net/url"
	"slices"
	"time"
)

// resolveEvery is how often names of peers are looked up again: a headless service has
// an address for each of its pods, and they come and go.
const resolveEvery = 10 * time.Second

// resolve keeps a route to every address that the names of peers stand for. NATS alone
// is content with one of them.
func (s *Server) resolve() {
	every := time.NewTicker(resolveEvery)
	defer every.Stop()
	before := slices.Sorted(slices.Values(s.cfg.Peers))
	for {
		if now := s.lookUp(); len(now) > 0 && !slices.Equal(now, before) {
			s.setRoutes(now)
			before = now
		}
		select {
		case <-every.C:
		case <-s.stop:
			return
		}
	}
}

// lookUp returns the peers' addresses, sorted. A name that has only one is left as it
// is: NATS looks it up again whenever it connects.
func (s *Server) lookUp() []string {
	var list []string
	for _, peer := range s.cfg.Peers {
		list = append(list, peer)
		host, port, err := net.SplitHostPort(peer)
		if err != nil || net.ParseIP(host) != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), resolveEvery/2)
		found, err := net.DefaultResolver.LookupHost(ctx, host)
		cancel()
		if err != nil || len(found) < 2 {
			continue
		}
		for _, a := range found {
			list = append(list, net.JoinHostPort(a, port))
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// setRoutes changes nothing but the routes: the options are those in force, with what
// the server has filled in.
func (s *Server) setRoutes(addresses []string) {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	o := s.opts.Clone()
	var err error
	if o.Routes, err = s.routes(addresses); err == nil {
		err = s.nats.ReloadOptions(o)
	}
	if err != nil {
		s.log.log.Warn("the addresses of other nodes cannot be changed", "error", err)
		return
	}
	s.opts = o
}

// AddPeers has the server connect to further addresses, once each and until they
// answer or five minutes have passed.
func (s *Server) AddPeers(addresses []string) {
	list := s.lookUp()
	for _, a := range addresses {
		if u := (&url.URL{Host: a}); u.Hostname() != "" && a != s.Addr() {
			list = append(list, a)
		}
	}
	slices.Sort(list)
	s.setRoutes(slices.Compact(list))
}
