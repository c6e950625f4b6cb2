package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func TestCached(t *testing.T) {
	v := todayVerifier(t)
	now := today
	v.now = func() time.Time { return now }
	token := tokenOf(t, plainHeader, `{"sub":"ada","fanout":true,"exp":1800000010}`)
	if _, ok := v.Cached(token); ok {
		t.Error("a token is known that nobody has verified")
	}
	want, err := v.Verify(token)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := v.Cached(token); !ok || got != want {
		t.Errorf("known as %+v, %v; want %+v", got, ok, want)
	}
	now = today.Add(10 * time.Second)
	if got, ok := v.Cached(token); ok {
		t.Errorf("an expired token is known: %+v", got)
	}
	if _, err := v.Verify(token); err != ErrExpired {
		t.Errorf("an expired token: %v", err)
	}
	if _, ok := todayVerifier(t).Cached(token); ok {
		t.Error("another verifier knows it")
	}
	bad := append(token[:len(token):len(token)], '.')
	_, err = v.Verify(bad)
	if _, ok := v.Cached(bad); ok || err == nil || entries(&v.known) != 0 {
		t.Errorf("a bad token is remembered (%v); entries: %d", err, entries(&v.known))
	}
}

// A token that was good by a clock that ran ahead is not, once that is set right.
func TestClockSetBack(t *testing.T) {
	v := todayVerifier(t)
	now := today.Add(time.Hour)
	v.now = func() time.Time { return now }
	token := tokenOf(t, plainHeader, fmt.Sprintf(`{"sub":"ada","nbf":%d}`, today.Add(time.Minute).Unix()))
	if _, err := v.Verify(token); err != nil {
		t.Fatal(err)
	}
	now = today
	if got, ok := v.Cached(token); ok {
		t.Errorf("a token that is not good yet is known: %+v", got)
	}
	if _, err := v.Verify(token); err != ErrInvalid {
		t.Errorf("a token that is not good yet: %v", err)
	}
}

func entries(c *cache) (n int) {
	for i := range c.shards {
		n += len(c.shards[i].young) + len(c.shards[i].old)
	}
	return n
}

func nth(i int) digest {
	return sha256.Sum256(binary.BigEndian.AppendUint32(nil, uint32(i)))
}

func TestCacheIsBounded(t *testing.T) {
	for _, size := range []int{0, 8 << 10} {
		c, subject := new(cache), strings.Repeat("s", size)
		for i := range 4 * cacheEntries {
			c.put(nth(i), &entry{Claims: Claims{Subject: subject}}, 0)
			if _, ok := c.get(nth(0), today); !ok {
				t.Fatalf("what is always in use was forgotten after %d others of %d bytes", i, size)
			}
		}
		n := entries(c)
		if n > cacheEntries || n*(entryCost+size) > cacheBytes {
			t.Errorf("%d entries of %d bytes", n, size)
		}
		if n < min(cacheEntries, cacheBytes/(entryCost+size))/3 {
			t.Errorf("no more than %d entries of %d bytes", n, size)
		}
		if _, ok := c.get(nth(4*cacheEntries-1), today); !ok {
			t.Error("the newest is not there")
		}
	}
}

func TestVerifyAtOnce(t *testing.T) {
	v := todayVerifier(t)
	var tokens [][]byte
	for i := range 50 {
		tokens = append(tokens, tokenOf(t, plainHeader, fmt.Sprintf(`{"sub":"%d"}`, i)))
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 5000 {
				n := i % len(tokens)
				c, err := v.Verify(tokens[n])
				if err != nil || c.Subject != fmt.Sprint(n) {
					t.Errorf("token %d is %+v, %v", n, c, err)
					return
				}
			}
		})
	}
	all.Wait()
}

// pairs have a token for the verifier of each kind of key.
func pairs(t testing.TB) map[string]struct {
	v     *Verifier
	token []byte
} {
	claims := jwt.MapClaims{"sub": "5f2b3c1e-ada", "iss": "https://issuer.example.org", "fanout": true, "exp": at(time.Hour), "iat": at(0)}
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	ecKey := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	edPublic, edKey, _ := ed25519.GenerateKey(rand.Reader)
	type pair = struct {
		v     *Verifier
		token []byte
	}
	return map[string]pair{
		"HS256": {verifier(t, secret), []byte(sign(t, jwt.SigningMethodHS256, secret, claims))},
		"RS256": {verifier(t, publicPEM(t, rsaKey.Public())), []byte(sign(t, jwt.SigningMethodRS256, rsaKey, claims))},
		"ES256": {verifier(t, publicPEM(t, ecKey.Public())), []byte(sign(t, jwt.SigningMethodES256, ecKey, claims))},
		"EdDSA": {verifier(t, publicPEM(t, edPublic)), []byte(sign(t, jwt.SigningMethodEdDSA, edKey, claims))},
	}
}

func TestExpensive(t *testing.T) {
	for kind, p := range pairs(t) {
		if p.v.Expensive() != (kind != "HS256") {
			t.Errorf("%s: expensive is %v", kind, p.v.Expensive())
		}
		if _, err := p.v.Verify(p.token); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if n := testing.AllocsPerRun(100, func() { _, _ = p.v.Cached(p.token) }); n != 0 {
			t.Errorf("%s: looking a token up allocates %v times", kind, n)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	now := time.Now()
	for kind, p := range pairs(b) {
		b.Run(kind, func(b *testing.B) {
			for b.Loop() {
				if _, err := p.v.check(p.v.keys.Load(), p.token, now); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(kind+" known", func(b *testing.B) {
			_, _ = p.v.Verify(p.token)
			b.ReportAllocs()
			for b.Loop() {
				if _, ok := p.v.Cached(p.token); !ok {
					b.Fatal("not known")
				}
			}
		})
	}
}

// What is made of a token's claims is made once, of what it claims, for all who
// bring it; and not of a token that is no good.
func TestMade(t *testing.T) {
	v := todayVerifier(t)
	made := 0
	v.make = func(c *Claims) any {
		made++
		return &Claims{Subject: c.Subject + "!"}
	}
	token := tokenOf(t, plainHeader, `{"sub":"ada"}`)
	first, err := v.Verify(token)
	again, err2 := v.Verify(token)
	known, ok := v.Cached(token)
	if err != nil || err2 != nil || !ok || made != 1 || again.Made != first.Made || known.Made != first.Made || first.Made.(*Claims).Subject != "ada!" {
		t.Errorf("made %d times: %+v, %+v, %+v", made, first, again, known)
	}
	if _, err := v.Verify(tokenOf(t, plainHeader, `{"sub":"eve","exp":1}`)); err != ErrExpired || made != 1 {
		t.Errorf("%v, made %d times", err, made)
	}
}
