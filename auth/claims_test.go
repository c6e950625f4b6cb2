package auth

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

var jwtHS256 = jwt.SigningMethodHS256

// tokenOf signs a header and claims that are given to the letter.
func tokenOf(t testing.TB, header, claims string) []byte {
	t.Helper()
	signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	signature, err := jwtHS256.Sign(signed, secret)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(signed + "." + base64.RawURLEncoding.EncodeToString(signature))
}

const plainHeader = `{"alg":"HS256","typ":"JWT"}`

// today is what the tests' clock says.
var today = time.Unix(1_800_000_000, 0)

func todayVerifier(t testing.TB) *Verifier {
	v := verifier(t, secret)
	v.now = func() time.Time { return today }
	return v
}

func TestClaimsToTheLetter(t *testing.T) {
	v := todayVerifier(t)
	for claims, want := range map[string]error{
		`{"sub":"ada","fanout":true,"exp":1800000001}`: nil,
		`{"\u0073ub":"ada"}`:                           nil, // the same name
		`{"sub":"\ud83d\ude00"}`:                       nil,
		`{"iss":"i","aud":"a","jti":"j","iat":1}`:      nil,
		`{"aud":["a","b"],"exp":1800000000.5}`:         nil,
		`{"exp":1.8e9,"nbf":18e8,"x":{"exp":1}}`:       ErrExpired,
		`{"exp":1800000000}`:                           ErrExpired, // "on or after" (RFC 7519, 4.1.4)
		`{"exp":0}`:                                    ErrExpired,
		`{"exp":-1e9}`:                                 ErrExpired,
		`{"nbf":1800000000.5}`:                         ErrInvalid,

		// Other letters are other names, of which nothing is known.
		`{"fanout":false,"Fanout":true}`: nil,
		`{"exp":1,"EXP":1900000000}`:     ErrExpired,
		`{"EXP":1}`:                      nil,
		`{"ſub":"eve"}`:                  nil, // folds to sub

		`{"fanout":false,"fanout":true}`: ErrInvalid,
		`{"sub":"ada","s\u0075b":"eve"}`: ErrInvalid,
		`{"x":1,"x":1}`:                  ErrInvalid,
		`{"exp":"1900000000"}`:           ErrInvalid,
		`{"exp":null}`:                   ErrInvalid,
		`{"exp":true}`:                   ErrInvalid,
		`{"exp":1e400}`:                  ErrInvalid,
		`{"exp":1e300}`:                  ErrInvalid,
		`{"exp":9223372036854775808}`:    ErrInvalid,
		`{"exp":1900000000000}`:          ErrInvalid, // milliseconds
		`{"exp":-62135596800}`:           ErrInvalid, // Go's zero time: never
		`{"nbf":-1e300}`:                 ErrInvalid,
		`{"iat":"yesterday"}`:            ErrInvalid,
		`{"sub":1}`:                      ErrInvalid,
		`{"sub":null}`:                   ErrInvalid,
		`{"sub":["ada"]}`:                ErrInvalid,
		`{"sub":"\ud83d"}`:               ErrInvalid,
		"{\"sub\":\"\xff\"}":             ErrInvalid,
		`{"fanout":"true"}`:              ErrInvalid,
		`{"fanout":1}`:                   ErrInvalid,
		`{"fanout":null}`:                ErrInvalid,
		`{"iss":1}`:                      ErrInvalid,
		`{"jti":{}}`:                     ErrInvalid,
		`{"aud":1}`:                      ErrInvalid,
		`{"aud":["a",1]}`:                ErrInvalid,
		`{"sub":"ada"} {}`:               ErrInvalid,
		`{"sub":"ada",}`:                 ErrInvalid,
		`["sub"]`:                        ErrInvalid,
		`null`:                           ErrInvalid,
		``:                               ErrInvalid,
	} {
		got, err := v.Verify(tokenOf(t, plainHeader, claims))
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", claims, err, want)
		}
		if wantFanout := strings.HasPrefix(claims, `{"sub":"ada","fanout":true,`); got.Fanout != wantFanout {
			t.Errorf("%s: fanout %v", claims, got.Fanout)
		}
		if got.Subject == "eve" {
			t.Errorf("%s: the subject is eve", claims)
		}
	}
}

func TestHeaders(t *testing.T) {
	v := todayVerifier(t)
	for header, good := range map[string]bool{
		plainHeader:                           true,
		`{"kid":"1","alg":"HS256"}`:           true,
		`{"ALG":"none","alg":"HS256"}`:        true,
		`{"alg":"HS256","Crit":["exp"]}`:      true, // not "crit"
		`{"alg":"none","alg":"HS256"}`:        false,
		`{"alg":"HS256","alg":"HS256"}`:       false,
		`{"ALG":"HS256"}`:                     false,
		`{"alg":"hs256"}`:                     false,
		`{"alg":"HS512"}`:                     false,
		`{"alg":null}`:                        false,
		`{"alg":["HS256"]}`:                   false,
		`{"alg":"HS256","crit":null}`:         false,
		`{"alg":"HS256","cr\u0069t":["exp"]}`: false,
		`{}`:                                  false,
	} {
		if _, err := v.Verify(tokenOf(t, header, "{}")); (err == nil) != good {
			t.Errorf("%s: %v", header, err)
		}
	}
}

// TestOneSpelling: what encoding/base64 passes over is no part of a token.
func TestOneSpelling(t *testing.T) {
	v := todayVerifier(t)
	token := string(tokenOf(t, plainHeader, `{"sub":"ada"}`))
	last := token[len(token)-1] // of 43 letters: its lowest two bits count for nothing
	for _, other := range []string{token + "=", token + "\n", token[:5] + "\n" + token[5:], token + ".", "." + token, " " + token,
		token[:len(token)-1] + string(last+1)} {
		if _, err := v.Verify([]byte(other)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", other, err)
		}
	}
	if _, err := v.Verify(tokenOf(t, plainHeader, `{"x":"`+strings.Repeat("x", maxToken)+`"}`)); !errors.Is(err, ErrInvalid) {
		t.Errorf("a token of more than %d bytes: %v", maxToken, err)
	}
}

func TestDates(t *testing.T) {
	c, err := todayVerifier(t).Verify(tokenOf(t, plainHeader, `{"exp":1800000000.25}`))
	if want := today.Add(time.Second / 4); err != nil || !c.Expires.Equal(want) {
		t.Errorf("got %v, %v; want %v", c.Expires, err, want)
	}
	if c, err := todayVerifier(t).Verify(tokenOf(t, plainHeader, `{}`)); err != nil || !c.Expires.IsZero() {
		t.Errorf("without exp: %v, %v", c.Expires, err)
	}
}

// FuzzClaims holds parseClaims to what encoding/json finds in the same text, which
// knows no types and no names of ours when it fills a map.
// White space and escapes change nothing of what is claimed.
func TestStrings(t *testing.T) {
	for _, text := range []string{
		`{"sub":"a b","jti":"t","aud":["x","y"]}`, " {\t\"sub\" :\n\"a b\" ,\r\"jti\": \"t\" , \"aud\" : [ \"x\" , \"y\" ] } ",
		`{"s\u0075b":"a\u0020b","jti":"\u0074","aud":["\u0078","y"]}`,
	} {
		c, on, err := parseClaims([]byte(text))
		if err != nil || c.Subject != "a b" || c.TokenID != "t" || !slices.Equal(on.audience, []string{"x", "y"}) {
			t.Errorf("%s: %+v, %+v, %v", text, c, on, err)
		}
	}
}

func FuzzClaims(f *testing.F) {
	for _, text := range []string{`{"sub":"ada","fanout":true,"exp":1.8e9}`, `{"fanout":false,"Fanout":true}`, `{"exp":"1"}`,
		`{"sub":"\ud83d"}`, `{"x":[{"sub":1}],"aud":["a"]}`, `{"exp":1e400}`, `{"s\u0075b":"a"}`, `{"x":1,"x":2}`, `{"":1e700}`,
		`{"wsd":{"topics":["a"],"limit":3,"fanout":true}}`, `{"wsd":{"Limit":1,"limit":1e0}}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, on, err := parseClaims(text)
		if err != nil {
			return
		}
		var fields map[string]any
		in := json.NewDecoder(bytes.NewReader(text))
		in.UseNumber() // a claim that is not ours may be any number
		if err := in.Decode(&fields); err != nil || fields == nil || !utf8.Valid(text) {
			t.Fatalf("no JSON object was taken: %v", err)
		}
		if subject, _ := fields["sub"].(string); subject != c.Subject {
			t.Errorf("subject %q, JSON has %q", c.Subject, subject)
		}
		grants, _ := fields["wsd"].(map[string]any)
		more, _ := grants["fanout"].(bool)
		if fanout, _ := fields["fanout"].(bool); (fanout || more) != c.Fanout {
			t.Errorf("fanout %v, JSON has %v", c.Fanout, fanout)
		}
		for name, got := range map[string]time.Time{"exp": c.Expires, "nbf": on.from} {
			value, given := fields[name]
			digits, number := value.(json.Number)
			seconds, _ := digits.Float64()
			if given != number || given == got.IsZero() {
				t.Errorf("%s is %v, read as %v", name, value, got)
			}
			if off := float64(got.Unix()) - seconds; given && (off > 1 || off < -1) {
				t.Errorf("%s is %v, read as %v", name, value, got)
			}
		}
		// Names of other letters change nothing.
		if len(fields) > 0 {
			more := append([]byte(`{"FANOUT":true,"Sub":"eve","EXP":1,"Nbf":1,`), text[strings.IndexByte(string(text), '{')+1:]...)
			if again, _, err := parseClaims(more); err == nil && !reflect.DeepEqual(again, c) {
				t.Errorf("%+v became %+v", c, again)
			}
		}
	})
}
