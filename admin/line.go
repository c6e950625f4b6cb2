package admin

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
	"unicode/utf8"

	"wsd/dispatch"
	"wsd/server"
)

// line is one message of a stream: exactly one of all, topic, client and user, and
// exactly one of text, json and binary.
type line struct {
	all                 bool
	topic, client, user []string

	text   *string
	json   json.RawMessage // sent byte for byte as it stands in the line
	binary []byte          // base64 in the line, bytes in the frame

	coalesce, deadline string
	key                *string // to a line what Idempotency-Key is to a request
}

// parseLine reads a line. What is no JSON, has a field that is not known, or one
// twice, or leaves open who gets what, is refused: nothing is mended silently.
func parseLine(text []byte) (line, error) {
	var l line
	if !utf8.Valid(text) {
		return l, errors.New("a line has to be UTF-8: give bytes as base64 in binary")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if err := l.read(d); err != nil {
		return l, fmt.Errorf("not a message: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return l, errOneObject
	}
	if l.key != nil {
		return l, validKey(*l.key)
	}
	return l, nil
}

var errOneObject = errors.New("not a message: one JSON object a line")

// read takes the fields one by one: encoding/json alone would take them in any
// case, and the last of several.
func (l *line) read(d *json.Decoder) error {
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.Join(err, errors.New("an object is needed"))
	}
	given := make([]string, 0, 8)
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return err
		}
		name := t.(string) // what else the decoder does not take
		if slices.Contains(given, name) {
			return fmt.Errorf("%q is given twice", name)
		}
		given = append(given, name)
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		if err := l.set(name, value); err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
	}
	_, err := d.Token()
	return err
}

func (l *line) set(name string, value json.RawMessage) (err error) {
	switch name {
	case "all":
		if l.all = string(value) == "true"; !l.all {
			err = errors.New("true is needed")
		}
	case "topic":
		l.topic, err = toNames(value)
	case "client":
		l.client, err = toNames(value)
	case "user":
		l.user, err = toNames(value)
	case "text":
		l.text = new(string)
		*l.text, err = toText(value)
	case "json":
		l.json = value
	case "binary":
		var text string
		if text, err = toText(value); err == nil {
			l.binary, err = base64.StdEncoding.DecodeString(text)
		}
	case "coalesce":
		l.coalesce, err = toText(value)
	case "deadline":
		l.deadline, err = toText(value)
	case "key":
		l.key = new(string)
		*l.key, err = toText(value)
	default:
		err = errors.New("there is no such field")
	}
	return err
}

// toText takes a string as it was meant: half of a surrogate pair, for which
// encoding/json puts something else, is none.
func toText(value json.RawMessage) (text string, err error) {
	if value[0] != '"' {
		return "", errors.New("a string is needed")
	}
	if !dispatch.ValidText(value) {
		return "", errors.New("half of a surrogate pair is no character")
	}
	err = json.Unmarshal(value, &text)
	return text, err
}

// toNames takes one name or an array of them.
func toNames(value json.RawMessage) ([]string, error) {
	if value[0] != '[' {
		one, err := toText(value)
		return []string{one}, err
	}
	var values []json.RawMessage
	if err := json.Unmarshal(value, &values); err != nil {
		return nil, err
	}
	names := make([]string, len(values))
	for i, v := range values {
		var err error
		if names[i], err = toText(v); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// order is who the line is for, and how.
func (l *line) order() (o order, err error) {
	if err = o.options(l.coalesce, l.deadline); err != nil {
		return o, err
	}
	kinds := one(l.all) + one(l.topic != nil) + one(l.client != nil) + one(l.user != nil)
	switch {
	case kinds != 1:
		err = errTarget
	case l.all:
		o.to = server.All()
	case l.topic != nil:
		o.to, err = toTopics(l.topic)
	case l.client != nil:
		o.to, err = toClients(l.client)
	default:
		o.to, err = toUsers(l.user)
	}
	return o, err
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// data is the message.
func (l *line) data() (data []byte, binary bool, err error) {
	given := 0
	if l.text != nil {
		data, given = []byte(*l.text), given+1
	}
	if l.json != nil {
		data, given = l.json, given+1
	}
	if l.binary != nil {
		data, binary, given = l.binary, true, given+1
	}
	if given != 1 {
		return nil, false, errors.New("give the message as one of text, json or binary (base64)")
	}
	return data, binary, nil
}

// message is the whole line as the server takes it.
func (l *line) message(began time.Time) (order, server.Message, error) {
	o, err := l.order()
	if err != nil {
		return o, server.Message{}, err
	}
	data, binary, err := l.data()
	return o, o.message(data, binary, began), err
}
