package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"strings"
	"sync/atomic"
)

// bearer is the token that requests have to carry. It can be read again while
// it is in use.
type bearer struct {
	file   string
	digest atomic.Pointer[[sha256.Size]byte]
}

// newBearer is nil without a file.
func newBearer(file string) (*bearer, error) {
	if file == "" {
		return nil, nil
	}
	b := &bearer{file: file}
	return b, b.load()
}

// load reads the file. On an error the token in force stays.
func (b *bearer) load() error {
	token, err := loadToken(b.file)
	if err == nil {
		digest := sha256.Sum256(token)
		b.digest.Store(&digest)
	}
	return err
}

// carried compares digests, so that neither content nor length of the token
// shows in the time it takes. header is Authorization.
func (b *bearer) carried(header string) bool {
	scheme, given, _ := strings.Cut(header, " ")
	got := sha256.Sum256([]byte(strings.TrimSpace(given)))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(got[:], b.digest.Load()[:]) == 1
}

// TokenFile is Config.TokenFile.
func (s *Server) TokenFile() string {
	if s.token == nil {
		return ""
	}
	return s.token.file
}

// LoadToken reads TokenFile again, if there is one: from here on requests have
// to carry the token that is there now. On an error, which names the field and
// the file, the token before stays in force. Any goroutine may call it.
func (s *Server) LoadToken() error {
	if s.token == nil {
		return nil
	}
	return s.token.load()
}
