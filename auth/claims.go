package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Claims are what a verified token says of its bearer.
type Claims struct {
	// Subject is the "sub" claim, TokenID "jti"; "" when absent.
	Subject, TokenID string
	// Fanout is the "fanout" claim, or that of "wsd": the bearer may address other
	// clients.
	Fanout bool
	// Expires and Issued are "exp" and "iat": from the first on the token is good for
	// nothing. The zero time means never, and that it does not say.
	Expires, Issued time.Time
	// Grants are the rest of the "wsd" claim, nil when absent. Nobody changes them.
	Grants *Grants
	// Made is what Config.Make has made of all this, once for all who bring the token.
	Made any

	until time.Time // Expires and the leeway
}

// conditions are what a token says of where and from when on it is good.
type conditions struct {
	from     time.Time // "nbf", the zero time when absent
	issuer   string
	audience []string
}

// Grants are what a token lets its bearer do, in the claim "wsd".
type Grants struct {
	Topics                      []string // to be subscribed to
	Subscribe, Publish, Actions []string // patterns
	Limit                       int      // connections of the subject, 0: it does not say
}

// Bounds of the lists in a claim, and of the bytes of an item.
const (
	maxItems = 256
	maxItem  = 256
	maxLimit = 1 << 20
)

func (c *Claims) expired(now time.Time) bool { return !c.until.IsZero() && !now.Before(c.until) }

// size is about what the claims take beside their record.
func (c *Claims) size() int {
	n := len(c.Subject) + len(c.TokenID)
	if g := c.Grants; g != nil {
		n += 128
		for _, list := range [...][]string{g.Topics, g.Subscribe, g.Publish, g.Actions} {
			for _, item := range list {
				n += 16 + len(item)
			}
		}
	}
	return n
}

// parseClaims reads a token's claims set (RFC 7519, sections 4 and 7.2). Names
// count letter by letter and come once. The claims that the RFC registers must be
// of its types even where they are not used.
func parseClaims(text []byte) (c Claims, on conditions, err error) {
	fields, err := members(text)
	if err != nil {
		return Claims{}, on, err
	}
	fanout := false
	for name, value := range fields {
		switch name {
		case "sub":
			c.Subject, err = toString(value)
		case "iss":
			on.issuer, err = toString(value)
		case "jti":
			c.TokenID, err = toString(value)
		case "aud":
			on.audience, err = toAudience(value)
		case "exp":
			c.Expires, err = toDate(value)
		case "nbf":
			on.from, err = toDate(value)
		case "iat":
			c.Issued, err = toDate(value)
		case "fanout":
			fanout, err = toBool(value)
		case "wsd":
			err = c.parseGrants(value)
		}
		if err != nil {
			return Claims{}, on, fmt.Errorf("%q: %w", name, err)
		}
	}
	c.until, c.Fanout = c.Expires, c.Fanout || fanout
	return c, on, nil
}

// parseGrants reads the claim "wsd". Members of other names are left out.
func (c *Claims) parseGrants(text json.RawMessage) error {
	fields, err := members(text)
	if err != nil {
		return err
	}
	g := new(Grants)
	for name, value := range fields {
		switch name {
		case "topics":
			g.Topics, err = toStrings(value)
		case "subscribe":
			g.Subscribe, err = toStrings(value)
		case "publish":
			g.Publish, err = toStrings(value)
		case "actions":
			g.Actions, err = toStrings(value)
		case "fanout":
			c.Fanout, err = toBool(value)
		case "limit":
			g.Limit, err = toLimit(value)
		}
		if err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
	}
	c.Grants = g
	return nil
}

// toStrings wants an array of strings that are not empty.
func toStrings(value json.RawMessage) (list []string, err error) {
	var items []json.RawMessage
	if value[0] != '[' || json.Unmarshal(value, &items) != nil || len(items) > maxItems {
		return nil, fmt.Errorf("a list of at most %d strings is needed", maxItems)
	}
	for _, item := range items {
		s, err := toString(item)
		if err != nil || s == "" || len(s) > maxItem {
			return nil, fmt.Errorf("an item is no string of 1 to %d bytes", maxItem)
		}
		list = append(list, s)
	}
	return list, nil
}

// toLimit wants a whole number, written as one.
func toLimit(value json.RawMessage) (int, error) {
	n, err := strconv.ParseUint(string(value), 10, 32)
	if err != nil || n == 0 || n > maxLimit {
		return 0, fmt.Errorf("a number from 1 to %d is needed", maxLimit)
	}
	return int(n), nil
}

// members reads a JSON object of which no name comes twice. A map takes names
// letter by letter, where a struct would take them in any case; of several that are
// the same it has the last, so that it has fewer members than the text.
func members(text []byte) (map[string]json.RawMessage, error) {
	var fields map[string]json.RawMessage
	if !utf8.Valid(text) || json.Unmarshal(text, &fields) != nil || fields == nil {
		return nil, errors.New("no JSON object")
	}
	if n := commas(text); n > 0 && n != len(fields)-1 {
		return nil, errors.New("a name comes twice")
	}
	return fields, nil
}

// commas counts those between the members of an object, which is valid JSON.
func commas(object []byte) (n int) {
	depth, quoted := 0, false
	for i := 0; i < len(object); i++ {
		switch c := object[i]; {
		case c == '\\':
			i++ // what is escaped
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case c == ',' && depth == 1:
			n++
		}
	}
	return n
}

// toString refuses U+FFFD as well: encoding/json puts it for half of a surrogate
// pair, so that different subjects would become one.
func toString(value json.RawMessage) (s string, err error) {
	if value[0] != '"' {
		return "", errors.New("a string is needed")
	}
	if bytes.IndexByte(value, '\\') < 0 { // as most are: members has found it to be JSON, in UTF-8
		s = string(value[1 : len(value)-1])
	} else {
		err = json.Unmarshal(value, &s)
	}
	if err == nil && strings.ContainsRune(s, utf8.RuneError) {
		return "", errors.New("holds a character that is none")
	}
	return s, err
}

func toBool(value json.RawMessage) (bool, error) {
	switch string(value) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, errors.New("true or false is needed")
}

// Dates are from the year 1 to 9999. What is beyond was not meant as one; the
// usual mistake is milliseconds.
const firstDate, lastDate = -62135596800, 253402300799

// toDate reads a NumericDate (RFC 7519, section 2): a number of seconds since
// 1970, fractions allowed.
func toDate(value json.RawMessage) (time.Time, error) {
	if c := value[0]; c != '-' && (c < '0' || c > '9') {
		return time.Time{}, errors.New("a number is needed")
	}
	n, err := strconv.ParseFloat(string(value), 64)
	if err != nil || n <= firstDate || n > lastDate { // the first is the zero time, which means none
		return time.Time{}, errors.New("no date in seconds since 1970")
	}
	seconds, fraction := math.Modf(n)
	return time.Unix(int64(seconds), int64(fraction*1e9)), nil
}

// toAudience takes one string or an array of them (RFC 7519, section 4.1.3).
func toAudience(value json.RawMessage) (list []string, err error) {
	items := []json.RawMessage{value}
	if value[0] == '[' {
		items = nil
		if err := json.Unmarshal(value, &items); err != nil {
			return nil, err
		}
	}
	for _, item := range items {
		one, err := toString(item)
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, nil
}
