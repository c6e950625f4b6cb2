package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/MicahParks/jwkset"
)

// Config says which keys a Verifier has.
type Config struct {
	Rules
	// Files are key files, as for Load: one secret, or any number of public keys each.
	Files []string
	// KeySets are JSON Web Key Sets: URLs (https:, http:) or files. They are read again
	// every Refresh, 0 means an hour, and once more in five minutes at most when a token
	// names a key that is in none.
	KeySets []string
	Refresh time.Duration
	Log     *slog.Logger
	// Make, if it is set, is called once for each token that is good, for Claims.Made: from
	// any goroutine.
	Make func(*Claims) any
}

// Bounds of key sets.
const (
	maxKeySet      = 1 << 20 // bytes
	maxKeysOfSet   = 128
	fetchTimeout   = 10 * time.Second
	unknownEvery   = 5 * time.Minute // how often unknown key ids may ask for a set
	retryFirst     = 10 * time.Second
	keptFor        = 24 * time.Hour // how long a set is good that cannot be read again
	defaultRefresh = time.Hour
)

// source is where a key set comes from.
type source struct {
	where  string
	client *http.Client

	// Under the Verifier's mu.
	keys   []key
	good   time.Time // when it was read last, zero: never
	asked  time.Time // when an unknown key asked for it last
	failed int       // times in a row

	pending atomic.Bool // it is being read, or about to be
	wake    chan struct{}
	counts  struct{ ok, failed atomic.Uint64 }
}

// Open makes a Verifier of several keys. A key file that is no good is an error; a key
// set that cannot be read yet is not, and is tried again. Close ends the reading.
func Open(ctx context.Context, cfg Config) (*Verifier, error) {
	v := &Verifier{rules: cfg.Rules, make: cfg.Make, now: time.Now}
	if err := v.loadFiles(cfg); err != nil {
		return nil, err
	}
	refresh := cfg.Refresh
	if refresh <= 0 {
		refresh = defaultRefresh
	}
	for _, where := range cfg.KeySets {
		s, err := newSource(where)
		if err != nil {
			return nil, err
		}
		if s.plain() {
			cfg.Log.Warn("a key set comes without TLS: who can change it on its way can make tokens", "from", where)
		}
		v.sources = append(v.sources, s)
		v.read(ctx, s, cfg.Log)
	}
	v.collect()
	for _, s := range v.sources {
		go v.keepReading(ctx, s, refresh, cfg.Log)
	}
	return v, nil
}

// loadFiles reads the key files. On an error the keys in force stay.
func (v *Verifier) loadFiles(cfg Config) error {
	var all []key
	secrets := 0
	for _, file := range cfg.Files {
		keys, err := loadKeys(file, cfg.Log)
		if err != nil {
			return err
		}
		all = append(all, keys...)
	}
	for _, k := range all {
		if _, secret := k.key.([]byte); secret {
			secrets++
		}
	}
	if secrets > maxTries || len(all)-secrets > maxTries {
		return fmt.Errorf("there are more than %d keys, of which a token may have to be tried with all: remove the old ones", maxTries)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.files = all
	v.collect()
	return nil
}

// Reload reads the key files again, and has the key sets read soon. On an error the
// keys in force stay.
func (v *Verifier) Reload(cfg Config) error {
	if err := v.loadFiles(cfg); err != nil {
		return err
	}
	for _, s := range v.sources {
		s.kick()
	}
	return nil
}

// Fetches is how often key sets were read, and could not be.
func (v *Verifier) Fetches() (ok, failed uint64) {
	for _, s := range v.sources {
		ok += s.counts.ok.Load()
		failed += s.counts.failed.Load()
	}
	return ok, failed
}

func newSource(where string) (*source, error) {
	s := &source{where: where, wake: make(chan struct{}, 1)}
	if !strings.Contains(where, "://") {
		return s, nil
	}
	u, err := url.Parse(where)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return nil, fmt.Errorf("%q is no address of a key set: write an https URL, or the name of a file", where)
	}
	s.client = &http.Client{Timeout: fetchTimeout, CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("it redirects: write the address that it has")
	}}
	return s, nil
}

// plain says whether the set crosses a network without TLS.
func (s *source) plain() bool {
	u, err := url.Parse(s.where)
	if s.client == nil || err != nil || u.Scheme != "http" {
		return false
	}
	host := u.Hostname()
	return host != "localhost" && host != "127.0.0.1" && host != "::1"
}

// kick has the set read soon.
func (s *source) kick() {
	select {
	case s.wake <- struct{}{}:
		s.pending.Store(true)
	default:
	}
}

// missing is told that a token names a key which no set has. It reports whether one is
// being read, or will be: at most one in unknownEvery, whatever keys tokens name.
func (v *Verifier) missing() (pending bool) {
	if len(v.sources) == 0 {
		return false
	}
	for _, s := range v.sources {
		pending = pending || s.pending.Load()
	}
	if pending || !v.mu.TryLock() {
		return pending
	}
	defer v.mu.Unlock()
	now := time.Now()
	for _, s := range v.sources {
		if s.asked.IsZero() || now.Sub(s.asked) >= unknownEvery {
			s.asked = now
			s.kick()
			pending = true
		}
	}
	return pending
}

// keepReading reads a set again and again, until ctx ends.
func (v *Verifier) keepReading(ctx context.Context, s *source, refresh time.Duration, log *slog.Logger) {
	timer := time.NewTimer(v.pause(s, refresh))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-timer.C:
		}
		v.read(ctx, s, log)
		s.pending.Store(false)
		timer.Reset(v.pause(s, refresh))
	}
}

// pause is how long it takes until a set is read again: refresh, or less as long as it
// cannot be read.
func (v *Verifier) pause(s *source, refresh time.Duration) time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	if s.failed == 0 {
		return refresh
	}
	return min(retryFirst<<min(s.failed-1, 16), refresh)
}

// read reads a set once. If that fails, the keys that it had stay for keptFor.
func (v *Verifier) read(ctx context.Context, s *source, log *slog.Logger) {
	text, err := s.fetch(ctx)
	var keys []key
	if err == nil {
		keys, err = parseKeySet(text)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if err != nil {
		s.counts.failed.Add(1)
		s.failed++
		if !s.good.IsZero() && time.Since(s.good) > keptFor {
			s.keys = nil
			v.collect()
		}
		log.Warn("a key set cannot be read: the keys in force stay", "from", s.where, "keys", len(s.keys), "error", err)
		return
	}
	s.counts.ok.Add(1)
	s.failed, s.good = 0, time.Now()
	if slices.EqualFunc(s.keys, keys, key.equal) {
		return
	}
	s.keys = keys
	log.Info("the keys of a key set have changed", "from", s.where, "keys", len(keys))
	v.collect()
}

func (s *source) fetch(ctx context.Context) ([]byte, error) {
	if s.client == nil {
		f, err := os.Open(s.where)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return atMost(f)
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.where, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	answer, err := s.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer is %s", answer.Status)
	}
	return atMost(answer.Body)
}

func atMost(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxKeySet+1))
	if err == nil && len(text) > maxKeySet {
		err = fmt.Errorf("it is larger than %d bytes: that is no key set", maxKeySet)
	}
	return text, err
}

// parseKeySet reads a JSON Web Key Set (RFC 7517, section 5). What is for something
// else than signatures, a secret, or of a kind that is not supported is left out, as
// the RFC asks for; but one key there has to be.
func parseKeySet(text []byte) (keys []key, err error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("it is no key set: %w", err)
	}
	if len(set.Keys) > maxKeysOfSet {
		return nil, fmt.Errorf("it has more than %d keys", maxKeysOfSet)
	}
	for _, one := range set.Keys {
		k, keyErr := parseJWK(one)
		if keyErr != nil {
			err = keyErr
			continue
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return nil, errors.Join(errors.New("it has no key that is for signatures and supported"), err)
	}
	return keys, nil
}

func parseJWK(text []byte) (key, error) {
	var m jwkset.JWKMarshal
	if err := json.Unmarshal(text, &m); err != nil {
		return key{}, err
	}
	switch {
	case m.KTY == jwkset.KtyOct:
		return key{}, errors.New("a secret in a key set is none")
	case m.USE != "" && m.USE != jwkset.UseSig:
		return key{}, fmt.Errorf("a key for %q, not for signatures", m.USE)
	case len(m.KEYOPS) > 0 && !slices.Contains(m.KEYOPS, jwkset.KeyOpsVerify):
		return key{}, errors.New("a key that does not verify")
	}
	// Certificates that come along say nothing that counts here, and none is fetched.
	m.X5U, m.X5C, m.X5T, m.X5TS256 = "", nil, "", ""
	m.USE, m.KEYOPS = "", nil
	jwk, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{SkipKeyOps: true, SkipUse: true})
	if err != nil {
		return key{}, err
	}
	k, err := publicKey(jwk.Key(), string(m.ALG))
	if err != nil {
		return key{}, err
	}
	k.id = m.KID
	return k, nil
}
