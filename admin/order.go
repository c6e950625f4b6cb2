package admin

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"time"
	"unicode/utf8"

	"wsd/server"
)

// order is what a publisher asks for, apart from the message itself.
type order struct {
	to       server.Target
	coalesce string
	deadline time.Duration // 0: none
	noWait   bool
	perNode  bool // the answer is to tell of each node

	key   string // if the nodes of a cluster are to remember it; "": none
	print [sha256.Size]byte
}

// Bounds of an order.
const (
	maxCoalesce = 128
	maxDeadline = 24 * time.Hour
)

// parseOrder reads the query of a publish: all, topic=T&topic=U,
// client=ID&client=ID or user=U&user=V, and beside that wait, coalesce and deadline. Anything
// else is refused, so that nothing mistyped is silently ignored.
func parseOrder(query string) (order, error) {
	q, err := url.ParseQuery(query)
	if err != nil {
		return order{}, errors.New("the query is malformed")
	}
	var o order
	if o.noWait, err = takeNoWait(q); err != nil {
		return order{}, err
	}
	if o.perNode, err = takeNodes(q); err != nil {
		return order{}, err
	}
	coalesce, deadline, err := takeBoth(q)
	if err != nil {
		return order{}, err
	}
	if err = o.options(coalesce, deadline); err != nil {
		return order{}, err
	}
	o.to, err = queryTarget(q)
	return o, err
}

func takeNoWait(q url.Values) (bool, error) {
	value, given, err := take(q, "wait")
	if err != nil || !given {
		return false, err
	}
	return parseNoWait(value)
}

func takeNodes(q url.Values) (bool, error) {
	value, given, err := take(q, "nodes")
	if err == nil && given && value != "true" && value != "false" {
		err = fmt.Errorf("nodes=%s: use true or false", value)
	}
	return value == "true", err
}

// parseNoWait reads the parameter wait, where it is given.
func parseNoWait(value string) (bool, error) {
	if value != "true" && value != "false" {
		return false, fmt.Errorf("wait=%s: use true or false", value)
	}
	return value == "false", nil
}

func takeBoth(q url.Values) (coalesce, deadline string, err error) {
	coalesce, given, err := take(q, "coalesce")
	if err == nil && given && coalesce == "" {
		err = errors.New("coalesce needs a name: what the message is the latest value of")
	}
	if err != nil {
		return "", "", err
	}
	deadline, given, err = take(q, "deadline")
	if err == nil && given && deadline == "" {
		err = errDeadline
	}
	return coalesce, deadline, err
}

var errDeadline = fmt.Errorf("deadline needs a number with its unit, as in 500ms or 2s, above 0 and at most %s", maxDeadline)

// options checks what is optional; "" is not given.
func (o *order) options(coalesce, deadline string) error {
	if len(coalesce) > maxCoalesce || !utf8.ValidString(coalesce) {
		return fmt.Errorf("coalesce may have %d bytes of UTF-8", maxCoalesce)
	}
	o.coalesce = coalesce
	if deadline == "" {
		return nil
	}
	d, err := time.ParseDuration(deadline)
	if err != nil || d <= 0 || d > maxDeadline {
		return errDeadline
	}
	o.deadline = d
	return nil
}

func queryTarget(q url.Values) (server.Target, error) {
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if name != "all" && name != "topic" && name != "client" && name != "user" {
			return server.Target{}, errUnknown(name)
		}
	}
	if len(q) == 1 {
		for kind, values := range q {
			switch {
			case kind == "all" && len(values) == 1 && values[0] == "":
				return server.All(), nil
			case kind == "topic":
				return toTopics(values)
			case kind == "client":
				return toClients(values)
			case kind == "user":
				return toUsers(values)
			}
		}
	}
	return server.Target{}, errTarget
}

// message makes the server's message; deadlines count from began, when the
// publisher's request came.
func (o *order) message(data []byte, binary bool, began time.Time) server.Message {
	m := server.Message{Binary: binary, Data: data, Coalesce: o.coalesce}
	if o.deadline > 0 {
		m.Deadline = began.Add(o.deadline)
	}
	return m
}
