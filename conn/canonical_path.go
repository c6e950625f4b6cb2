package conn

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// CanonicalPath returns a path in the form in which equivalent ones are equal
// (RFC 3986, section 6.2.2): what need not be escaped is not, the digits of an
// escape are capitals, and what is not ASCII is escaped as its UTF-8. A path
// that no browser would send is an error.
func CanonicalPath(path string) (string, error) {
	switch {
	case !strings.HasPrefix(path, "/"):
		return "", fmt.Errorf("a path begins with a slash: write /%s", path)
	case strings.ContainsAny(path, "?#"):
		return "", errors.New("a path has no query and no fragment: leave out ? and #, and what follows")
	case !utf8.ValidString(path):
		return "", errors.New("it is not UTF-8: write other bytes as %XX")
	}
	out := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		c, escaped := path[i], path[i] == '%'
		if escaped {
			n, err := strconv.ParseUint(path[i+1:min(i+3, len(path))], 16, 8)
			if err != nil || len(path) < i+3 {
				return "", errors.New("a percent sign has two hexadecimal digits behind it: write %25 for the sign alone")
			}
			c, i = byte(n), i+2
		}
		switch {
		case chars[c]&charName != 0, !escaped && chars[c]&charPath != 0:
			out = append(out, c)
		case escaped, c >= utf8.RuneSelf:
			out = fmt.Appendf(out, "%%%02X", c)
		default:
			return "", fmt.Errorf("%q cannot stand in a path: write %%%02X", c, c)
		}
	}
	for segment := range strings.SplitSeq(string(out), "/") {
		if segment == "." || segment == ".." {
			return "", fmt.Errorf("browsers resolve the segment %q before they send: write the path without it", segment)
		}
	}
	return string(out), nil
}
