package dispatch

import (
	"strings"
	"unicode"
)

// validAction says whether name can be an action: 1 to MaxAction bytes of a-z, 0-9 and _, the first one
// a letter.
func validAction(name string) bool {
	if name == "" || len(name) > MaxAction || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	for _, c := range []byte(name) {
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_') {
			return false
		}
	}
	return true
}

// actionName returns the action that a method serves: HeartBeat is heart_beat. A word begins with an
// upper-case letter behind anything else, and with the last of several upper-case letters if a
// lower-case letter follows: HTTPGet is http_get, GetID is get_id, Sha256Sum is sha256_sum.
func actionName(method string) string {
	var name strings.Builder
	letters := []rune(method)
	for i, r := range letters {
		if i > 0 && unicode.IsUpper(r) && letters[i-1] != '_' {
			followed := i+1 < len(letters) && unicode.IsLower(letters[i+1])
			if !unicode.IsUpper(letters[i-1]) || followed {
				name.WriteByte('_')
			}
		}
		name.WriteRune(unicode.ToLower(r))
	}
	return name.String()
}
