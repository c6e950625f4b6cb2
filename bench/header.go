package bench

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// field is one header field of a request, its value read from a file if the
// plan said so.
type field struct{ name, value string }

// secretAtMost is the largest file that a value is read from.
const secretAtMost = 64 << 10

// owned are the fields that a handshake, or any request with a body, sets by
// itself: a second one, or another value, would be another protocol.
var owned = []string{"Upgrade", "Connection", "Content-Length", "Transfer-Encoding", "Te", "Trailer", "Expect",
	"Sec-Websocket-Key", "Sec-Websocket-Version", "Sec-Websocket-Accept", "Sec-Websocket-Extensions"}

// parseFields reads header fields as a plan has them, "Name: value". A value
// that is @FILE, or whose last word is, ends with what the file holds: a token
// that is to stand neither in the list of processes nor in a report.
func parseFields(lines []string) (all []field, err error) {
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		value = strings.Trim(value, " \t")
		switch {
		case !ok || !isToken(name):
			return nil, fmt.Errorf("header field %q: write NAME: VALUE, as in Origin: https://example.org", redactField(line))
		case slices.ContainsFunc(owned, func(o string) bool { return strings.EqualFold(o, name) }):
			return nil, fmt.Errorf("header field %q: the request sets it by itself", name)
		case strings.HasSuffix(value, redacted):
			return nil, fmt.Errorf("header field %q: its value was left out of the report that the plan is from: give it again", name)
		}
		if i := strings.LastIndexByte(value, ' ') + 1; strings.HasPrefix(value[i:], "@") {
			secret, err := readSecret(value[i+1:])
			if err != nil {
				return nil, fmt.Errorf("header field %q: %w", name, err)
			}
			value = value[:i] + secret
		}
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return nil, fmt.Errorf("header field %q: its value has a line end or another control character", name)
		}
		all = append(all, field{name, value})
	}
	return all, nil
}

// readSecret is what a file holds, without the line end that editors add.
func readSecret(file string) (string, error) {
	info, err := os.Stat(file)
	if err != nil {
		return "", err
	}
	if info.Size() > secretAtMost {
		return "", fmt.Errorf("%s holds %d bytes, no value of a field does", file, info.Size())
	}
	text, err := os.ReadFile(file)
	secret := strings.TrimRight(string(text), "\r\n")
	if err == nil && (secret == "" || strings.HasPrefix(secret, "\ufeff")) {
		err = errors.New(file + " is empty, or begins with a byte order mark")
	}
	return secret, err
}

// isToken says whether a name is one of a field (RFC 9110, 5.6.2).
func isToken(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// split takes the Host field out: a request has one, whoever sets it.
func splitHost(all []field) (host string, lines []string, err error) {
	for _, f := range all {
		switch {
		case !strings.EqualFold(f.name, "Host"):
			lines = append(lines, f.name+": "+f.value)
		case host != "":
			return "", nil, errors.New("two Host fields: a request has one (RFC 9112, 3.2)")
		case f.value == "" || strings.ContainsAny(f.value, " \t/?#@"):
			return "", nil, fmt.Errorf("field Host %q: it is a name and maybe a port", f.value)
		default:
			host = f.value
		}
	}
	return host, lines, nil
}
