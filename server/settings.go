package server

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"wsd/conn"
	"wsd/dispatch"
	"wsd/netpoll"
	"wsd/topic"
)

// A ConfigError is a field that cannot be meant: which, with what value, and
// what it should be.
type ConfigError struct {
	Field string // its name in the Config
	Value any    // of a list, the item
	Want  string
}

func (e *ConfigError) Error() string {
	value := fmt.Sprint(e.Value)
	if text, ok := e.Value.(string); ok {
		value = strconv.Quote(text)
	}
	return e.Field + " " + value + ": " + e.Want
}

// checkNames brings what names addresses, hosts, pages, paths, subprotocols and
// topics into the form that requests are compared with.
func (c *Config) checkNames() (err error) {
	if c.Path, err = c.checkPath("Path", c.Path); err != nil {
		return err
	}
	if c.EchoPath, err = c.checkPath("EchoPath", c.EchoPath); err != nil {
		return err
	}
	if c.Path == c.EchoPath {
		return &ConfigError{"EchoPath", c.EchoPath, "clients connect there for the actions: choose another"}
	}
	for _, l := range []struct {
		field string
		list  *[]string
		form  func(string) (string, error)
	}{
		{"Origins", &c.Origins, conn.CanonicalOrigin},
		{"Hosts", &c.Hosts, conn.CanonicalHost},
		{"Subprotocols", &c.Subprotocols, checked(conn.CheckProtocol)},
		{"Topics", &c.Topics, checked(topic.CheckPattern)},
		{"Actions", &c.Actions, checked(topic.CheckPattern)},
		{"ProxyFrom", &c.ProxyFrom, canonicalTrust},
		{"ForwardedFrom", &c.ForwardedFrom, canonicalTrust},
	} {
		if *l.list, err = canonical(l.field, *l.list, l.form); err != nil {
			return err
		}
	}
	if err := c.checkProxies(); err != nil {
		return err
	}
	return c.checkListen()
}

func (c *Config) checkPath(field, path string) (string, error) {
	if path == "" {
		return "", nil
	}
	form, err := conn.CanonicalPath(path)
	if err != nil {
		return "", &ConfigError{field, path, err.Error()}
	}
	return form, nil
}

// checked is for items that have one form.
func checked(check func(string) error) func(string) (string, error) {
	return func(item string) (string, error) { return item, check(item) }
}

// canonical gives each item of a list its one form, and refuses what has no
// effect: an item that is there already, and any beside "*", which allows all
// and makes the list that of none.
func canonical(field string, list []string, form func(string) (string, error)) ([]string, error) {
	var out []string
	for _, item := range list {
		one, err := form(item)
		switch {
		case err != nil:
			return nil, &ConfigError{field, item, err.Error()}
		case slices.Contains(out, one):
			return nil, &ConfigError{field, item, "it is there already: leave one out"}
		case one == "*" && len(list) > 1:
			return nil, &ConfigError{field, item, "it allows all, so that the others have no effect: leave them out, or it"}
		case one == "*":
			return nil, nil
		}
		out = append(out, one)
	}
	return out, nil
}

// checkAuth refuses what cannot be meant of who clients are.
func (c *Config) checkAuth() error {
	for _, one := range []struct {
		field, value string
		of           []string
	}{
		{"Auth", string(c.Auth), []string{string(AuthOff), string(AuthOptional), string(AuthRequired)}},
		{"AuthRefuse", c.AuthRefuse, []string{RefuseStatus, RefuseClose}},
		{"MaxPerUserPolicy", c.MaxPerUserPolicy, []string{RefuseNew, CloseOldest}},
	} {
		if !slices.Contains(one.of, one.value) {
			return &ConfigError{one.field, one.value, "want one of " + strings.Join(one.of, ", ")}
		}
	}
	for i, place := range c.TokenFrom {
		if !slices.Contains(tokenPlaces, place) {
			return &ConfigError{"TokenFrom", place, "want one of " + strings.Join(tokenPlaces, ", ")}
		}
		if slices.Contains(c.TokenFrom[:i], place) {
			return &ConfigError{"TokenFrom", place, "it is there already: leave one out"}
		}
	}
	for _, pattern := range c.Actions {
		if pattern != "none" && !slices.ContainsFunc(c.Mux.Actions(), func(a *dispatch.Action) bool { return allows([]string{pattern}, a.Name) }) {
			return &ConfigError{"Actions", pattern, "no action matches it"}
		}
	}
	switch {
	case c.Auth == AuthOff && c.MaxPerUser > 0:
		return &ConfigError{"MaxPerUser", c.MaxPerUser, "nobody is a user while Auth is off"}
	case c.Auth == AuthOff && c.Authenticate != nil:
		return &ConfigError{"Auth", string(c.Auth), "Authenticate is never asked: want optional or required"}
	case c.Auth != AuthOff && c.Authenticate == nil && c.Mux.Authenticate == nil:
		return &ConfigError{"Auth", string(c.Auth), "there is nobody to ask about tokens: set Authenticate, or Mux.Authenticate"}
	case c.Auth != AuthOff && slices.Contains(c.TokenFrom, TokenMessage) && c.Mux.Lookup([]byte(dispatch.AuthAction)) == nil:
		return &ConfigError{"TokenFrom", TokenMessage, "the mux has no such action: add dispatch.Auth"}
	}
	return nil
}

func (c *Config) checkListen() error {
	for i, address := range c.Listen {
		if address == "none" && len(c.Listen) == 1 {
			return nil
		}
		if err := netpoll.CheckAddress(address); err != nil {
			return &ConfigError{"Listen", address, err.Error()}
		}
		if slices.Contains(c.Listen[:i], address) && !anyPort(address) {
			return &ConfigError{"Listen", address, "it is there already: leave one out"}
		}
	}
	return nil
}

// anyPort: each time another port is found.
func anyPort(address string) bool { return len(address) > 1 && address[len(address)-2:] == ":0" }
