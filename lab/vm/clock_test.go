package vm

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/sys/unix"
)

// step moves the machine's clock.
func step(t *testing.T, by time.Duration) {
	t.Helper()
	setClock(t, time.Now().Add(by))
}

func setClock(t *testing.T, to time.Time) {
	t.Helper()
	ts := unix.NsecToTimespec(to.UnixNano())
	if err := unix.ClockSettime(unix.CLOCK_REALTIME, &ts); err != nil {
		t.Fatalf("the clock to %v: %v", to, err)
	}
}

// keepClock sets the clock right again when the test ends.
func keepClock(t *testing.T) {
	began := time.Now()
	t.Cleanup(func() { setClock(t, began.Round(0).Add(time.Since(began))) })
}

// TestClockSteps: when the clock is set by an hour, back and forth, while clients
// are connected, no healthy one is closed, and time-outs last as long as they are.
func TestClockSteps(t *testing.T) {
	keepClock(t)
	const idle, pong, handshake = 2 * time.Second, 6 * time.Second, 3 * time.Second
	p := start(t, nil, "--idle-timeout="+idle.String(), "--pong-timeout="+pong.String(), "--handshake-timeout="+handshake.String())
	well := join(t, p.listen, 50, 100*time.Millisecond)
	quiet := join(t, p.listen, 20, time.Hour) // these answer pings, and say nothing
	gone := uint64(0)
	steps := []time.Duration{time.Hour, -time.Hour, -time.Hour, time.Hour, 24 * time.Hour, -24 * time.Hour}
	if testing.Short() {
		steps = steps[:2]
	}
	for _, by := range steps {
		began := time.Now()
		deaf(t, p.listen, 5) // these answer no ping
		slow, err := net.Dial("tcp", p.listen)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(slow, "GET /ws HTTP/1.1\r\n")
		step(t, by)
		well.served(fmt.Sprint("after a step of ", by))
		_ = slow.SetReadDeadline(time.Now().Add(patience))
		answer, err := http.ReadResponse(bufio.NewReader(slow), nil)
		if err != nil || answer.StatusCode != http.StatusRequestTimeout {
			t.Errorf("step of %v: a slow handshake gets %v, %v", by, answer, err)
		}
		slow.Close()
		if took := time.Since(began); took < handshake {
			t.Errorf("step of %v: a slow handshake ends after %v, before its time", by, took)
		}
		gone += 5
		until(t, "silent ones are closed", func() bool {
			well.well()
			quiet.well()
			return p.stats().Closed["idle"] == gone
		})
		if took := time.Since(began); took < idle+pong {
			t.Errorf("step of %v: silent ones are closed after %v, before their time", by, took)
		}
		well.served(fmt.Sprint("long after a step of ", by))
		quiet.well()
	}
	if s := p.stats(); s.Clients.Open != 70 || s.Uptime < 0 || s.Uptime > 3600 {
		t.Errorf("%d clients are open, the server is up for %v s", s.Clients.Open, s.Uptime)
	}
}

// secret is the key of tokens.
const secret = "0123456789abcdef0123456789abcdef"

// token is one with these dates, in seconds since 1970; 0: none.
func token(t *testing.T, expires, begins int64) string {
	t.Helper()
	claims := jwt.MapClaims{"fanout": true}
	if expires != 0 {
		claims["exp"] = expires
	}
	if begins != 0 {
		claims["nbf"] = begins
	}
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func keyFile(t *testing.T) string {
	t.Helper()
	const file = "/tmp/token.key"
	if err := os.WriteFile(file, []byte(secret), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(file, 0, 65534); err != nil {
		t.Fatal(err)
	}
	return file
}

// code asks for what needs a token, and returns the code of the answer. It would
// go to a client that does not exist.
func code(t *testing.T, p *peer, token string) string {
	t.Helper()
	_ = p.SetDeadline(time.Now().Add(patience))
	answer, err := p.ask(`{"actioncode":"heart_beat","client_ids":["00000000-0000-4000-8000-000000000000"],"token":"` + token + `"}`)
	if err != nil {
		t.Fatal(err)
	}
	found, _, _ := strings.Cut(strings.TrimPrefix(answer, `{"code":`), ",")
	return found
}

// The codes of answers that these tests are about.
const (
	codeSuccess = "0"
	codeInvalid = "6"
	codeExpired = "7"
)

// TestTokensFollowTheClock: a token's dates are by the wall clock, whenever that is
// set, for a token that was good before as well.
func TestTokensFollowTheClock(t *testing.T) {
	keepClock(t)
	p := start(t, nil, "--token-key-file="+keyFile(t))
	c := deaf(t, p.listen, 1)[0]
	now := time.Now().Unix()
	good, later := token(t, now+600, 0), token(t, 0, now+1800)
	want := func(when, goodIs, laterIs string) {
		t.Helper()
		if g, l := code(t, c, good), code(t, c, later); g != goodIs || l != laterIs {
			t.Errorf("%s: codes %s and %s, want %s and %s", when, g, l, goodIs, laterIs)
		}
	}
	want("at first", codeSuccess, codeInvalid)
	step(t, time.Hour)
	want("an hour later", codeExpired, codeSuccess)
	step(t, -time.Hour)
	want("set back", codeSuccess, codeInvalid)
}

// TestBoot1970: a machine without a clock of its own begins in 1970. The server
// starts and serves there. It says in the log that tokens cannot be judged, since
// one that expired long ago is good. Once the clock is set it is not, and clients
// have noticed nothing else.
func TestBoot1970(t *testing.T) {
	keepClock(t)
	present := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	setClock(t, time.Unix(3600, 0)) // the kernel takes none that is before its start
	p := start(t, nil, "--token-key-file="+keyFile(t), "--idle-timeout=2s", "--pong-timeout=6s")
	if line := p.said("serving"); !strings.HasPrefix(line["time"].(string), "1970-01-01T01:") {
		t.Errorf("it serves since %v", line["time"])
	}
	if line := p.said(wrongClock); line == nil || line["level"] != "WARN" {
		t.Errorf("no warning: %v", line)
	}
	well := join(t, p.listen, 50, 100*time.Millisecond)
	quiet := join(t, p.listen, 20, time.Hour)
	well.served("in 1970")
	asks, err := dial(p.listen, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer asks.Close()
	old, fresh := token(t, time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC).Unix(), 0), token(t, 0, present.Unix()-60)
	if o, f := code(t, asks, old), code(t, asks, fresh); o != codeSuccess || f != codeInvalid {
		t.Errorf("in 1970: codes %s and %s", o, f)
	}
	setClock(t, present)
	if o, f := code(t, asks, old), code(t, asks, fresh); o != codeExpired || f != codeSuccess {
		t.Errorf("now: codes %s and %s", o, f)
	}
	well.served("now")
	quiet.well()
	again := start(t, nil, "--token-key-file="+keyFile(t))
	if line := again.said(wrongClock); line != nil {
		t.Errorf("a warning with the clock set: %v", line)
	}
}

// wrongClock is the warning of a server that has a key and no clock to judge tokens
// by.
const wrongClock = "the clock is wrong: tokens that have expired are taken as good until it is set"
