package auth

import (
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
	// Subject is the "sub" claim, "" when absent.
	Subject string
	// Fanout is the "fanout" claim: the bearer may address other clients.
	Fanout bool
	// Expires is the "exp" claim: from then on the token is good for nothing. The
	// zero time means never.
	Expires time.Time
}

func (c *Claims) expired(now time.Time) bool { return !c.Expires.IsZero() && !now.Before(c.Expires) }

// parseClaims reads a token's claims set (RFC 7519, sections 4 and 7.2). Names
// count letter by letter and come once. The claims that the RFC registers must be
// of its types even where they are not used. from is "nbf", the zero time when
// absent.
func parseClaims(text []byte) (c Claims, from time.Time, err error) {
	fields, err := members(text)
	if err != nil {
		return Claims{}, from, err
	}
	for name, value := range fields {
		switch name {
		case "sub":
			c.Subject, err = toString(value)
		case "iss", "jti":
			_, err = toString(value)
		case "aud":
			err = checkAudience(value)
		case "exp":
			c.Expires, err = toDate(value)
		case "nbf":
			from, err = toDate(value)
		case "iat":
			_, err = toDate(value)
		case "fanout":
			c.Fanout, err = toBool(value)
		}
		if err != nil {
			return Claims{}, from, fmt.Errorf("%q: %w", name, err)
		}
	}
	return c, from, nil
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
	if err = json.Unmarshal(value, &s); err == nil && strings.ContainsRune(s, utf8.RuneError) {
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

// checkAudience wants one string or an array of them (RFC 7519, section 4.1.3).
func checkAudience(value json.RawMessage) error {
	if value[0] != '[' {
		_, err := toString(value)
		return err
	}
	var list []json.RawMessage
	if err := json.Unmarshal(value, &list); err != nil {
		return err
	}
	for _, one := range list {
		if _, err := toString(one); err != nil {
			return err
		}
	}
	return nil
}
