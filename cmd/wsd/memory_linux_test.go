//go:build !race

package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/golang-jwt/jwt/v5"

	"wsd/server"
)

// TestNeverKilled: in control groups of several sizes, by the defaults, clients
// that do all that could make the server hold memory, at once: thousands that
// begin a large message and send a pong now and then, 257 publishes of 1 MiB to
// clients that do not read, answers and other clients' messages for such, and
// requests that wait for a look at their token. The kernel does not kill the
// process, clients that do no such thing are served all the while, and it is told
// who went, and that it is not ready. (Not under the race detector, which takes
// more memory than the groups have.)
func TestNeverKilled(t *testing.T) {
	for _, size := range []struct {
		limit int64
		cut   int // clients with an unfinished message
		large int // publishes of 1 MiB: more than all messages may take together
	}{{64 << 20, 600, 64}, {256 << 20, 1500, 128}, {1 << 30, 4500, 257}} {
		t.Run(mib(size.limit), func(t *testing.T) {
			g := newCgroup(t, size.limit)
			key, good := esKey(t)
			r := serveAs(t, g.inside(program(t, nil, "serve", "--log-format=json", "--admin=127.0.0.1:0", "--drain-time=100ms",
				"--listen=127.0.0.1:0", "--token-key-file="+key, "--close-timeout=500ms")))
			t.Logf("%v", r.find("memory"))
			a := &attack{t: t, r: r, stop: make(chan struct{}), good: good, bad: good[:len(good)-8] + "AAAAAAAA"}
			t.Cleanup(a.end)
			a.health(20)
			a.assault(size.cut)
			a.publishes(size.large)
			st := a.until("clients went for want of memory", func(st server.Stats) bool { return st.Closed["memory"] > 0 })
			a.lasts(3 * time.Second)
			a.end()
			if n := g.killed(t); n != 0 || r.over() {
				t.Fatalf("the kernel killed %d processes; the end of the log: %.2000s", n, r.log.String())
			}
			if !a.toldNotReady.Load() {
				t.Error("it was ready all the while")
			}
			t.Logf("%s bytes at the peak; %d of %d went, closed %v; %d heartbeats of the others", g.most(), st.Closed["memory"], st.Accepted, st.Closed, a.beats.Load())
			until(t, "all is as before", func() bool {
				code, _ := r.http("GET", "/readyz", "")
				st := a.stats()
				return code == 200 && st.PendingBytes == 0 && st.Clients.Connected == 20
			})
			a.goodbye()
		})
	}
}

// esKey writes a public key and returns its file, and a token that may fan out.
func esKey(t *testing.T) (file, token string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	file = writeFile(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	token, err = jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"fanout": true}).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return file, token
}

// attack is clients that make the server hold memory, and some that do not.
type attack struct {
	t         *testing.T
	r         *running
	good, bad string // tokens

	stop         chan struct{}
	ended        sync.Once
	attackers    sync.WaitGroup
	healthy      sync.WaitGroup
	leaving      atomic.Bool
	beats        atomic.Int64
	served       [20]atomic.Int64
	toldNotReady atomic.Bool
	victim       atomic.Pointer[string] // id of one that does not read
}

// dial makes a client; deaf: with as little room to receive as there can be.
func (a *attack) dial(deaf bool) (net.Conn, error) {
	var dialer net.Dialer
	if deaf {
		dialer.Control = func(_, _ string, c syscall.RawConn) (err error) {
			e := c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
			return errors.Join(err, e)
		}
	}
	c, err := dialer.Dial("tcp", a.r.listen)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	shake := ws.Dialer{NetDial: func(context.Context, string, string) (net.Conn, error) { return c, nil }}
	if _, _, _, err := shake.Dial(context.Background(), "ws://localhost/ws"); err != nil {
		c.Close()
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(programPatience))
	return c, nil
}

// again has n clients that begin and go on, each again and again, until the attack
// is over.
func (a *attack) again(n int, deaf bool, begin, goOn func(net.Conn) error) {
	for range n {
		a.attackers.Go(func() {
			for !a.over(0) {
				c, err := a.dial(deaf)
				if err != nil {
					a.over(100 * time.Millisecond)
					continue
				}
				gone := make(chan struct{})
				go func() { // the end of the attack interrupts a write, too
					select {
					case <-a.stop:
						c.Close()
					case <-gone:
					}
				}()
				for err = begin(c); err == nil && !a.over(0); {
					err = goOn(c)
				}
				close(gone)
				c.Close()
				a.over(100 * time.Millisecond)
			}
		})
	}
}

// over says that the attack is, or is within that time.
func (a *attack) over(in time.Duration) bool {
	if in == 0 {
		select {
		case <-a.stop:
			return true
		default:
			return false
		}
	}
	select {
	case <-a.stop:
		return true
	case <-time.After(in):
		return false
	}
}

// assault begins all but the publishes.
func (a *attack) assault(cut int) {
	begin := ws.MustCompileFrame(ws.MaskFrameInPlace(ws.NewFrame(ws.OpText, false, []byte(`{"data":"`+strings.Repeat("x", 60_000)))))
	pong := ws.MustCompileFrame(ws.MaskFrameInPlace(ws.NewPongFrame(nil)))
	a.again(cut, false, func(c net.Conn) error {
		_, err := c.Write(begin)
		return err
	}, func(c net.Conn) error {
		a.over(300 * time.Millisecond)
		_, err := c.Write(pong)
		return err
	})
	a.again(40, true, a.subscribe, func(c net.Conn) error { // of the publishes
		a.over(100 * time.Millisecond)
		return wsutil.WriteClientText(c, []byte(`{"actioncode":"heart_beat"}`))
	})
	nothing := func(net.Conn) error { return nil }
	large := strings.Repeat("y", 50_000)
	a.again(20, true, nothing, func(c net.Conn) error { // of their own answers
		return wsutil.WriteClientText(c, []byte(`{"actioncode":"echo","data":"`+large+`"}`))
	})
	a.again(200, true, nothing, func(c net.Conn) error { // of looks at their token
		a.over(100 * time.Millisecond)
		return wsutil.WriteClientText(c, fmt.Appendf(nil, `{"actioncode":"echo","is_broadcast":true,"token":%q,"data":%q}`, a.bad, large))
	})
	a.again(4, true, nothing, func(c net.Conn) error { // of others' answers
		id := a.victim.Load()
		if id == nil {
			a.over(10 * time.Millisecond)
			return nil
		}
		return wsutil.WriteClientText(c, fmt.Appendf(nil, `{"actioncode":"echo","client_ids":[%q],"token":%q,"data":%q}`, *id, a.good, large))
	})
	a.attackers.Go(func() {
		for !a.over(20 * time.Millisecond) {
			answer, err := http.Get("http://" + a.r.admin + "/readyz")
			if err != nil {
				continue // whoever needs it will say so
			}
			text, _ := io.ReadAll(answer.Body)
			if answer.Body.Close(); answer.StatusCode == 503 && strings.Contains(string(text), "out of memory") {
				a.toldNotReady.Store(true)
			}
		}
	})
}

// subscribe makes a client one of those that the publishes are for, and that
// others address.
func (a *attack) subscribe(c net.Conn) error {
	if err := wsutil.WriteClientText(c, []byte(`{"actioncode":"whoami"}`)); err != nil {
		return err
	}
	_, who, err := readFrame(bufio.NewReader(c))
	if err != nil {
		return err
	}
	if _, id, ok := strings.Cut(string(who), `"client_id":"`); ok && len(id) > 36 {
		id = id[:36]
		a.victim.Store(&id)
	}
	return wsutil.WriteClientText(c, []byte(`{"actioncode":"subscribe","data":{"topics":["flood"]}}`))
}

// publishes publishes so many messages of 1 MiB, some at a time.
func (a *attack) publishes(n int) {
	body := strings.Repeat("z", 1<<20)
	left := make(chan struct{}, n)
	for range n {
		left <- struct{}{}
	}
	close(left)
	var publishers sync.WaitGroup
	for range 4 {
		publishers.Go(func() {
			for range left {
				answer, err := http.Post("http://"+a.r.admin+"/v1/publish?topic=flood", "text/plain", strings.NewReader(body))
				if err != nil {
					a.t.Errorf("publish: %v; the end of the log: %.2000s", err, a.r.log.String())
					return
				}
				if answer.Body.Close(); answer.StatusCode != 200 {
					a.t.Errorf("publish: %s", answer.Status)
				}
			}
		})
	}
	publishers.Wait()
}

// health begins clients that send heartbeats and want their answers.
func (a *attack) health(n int) {
	for i := range n {
		c, err := a.dial(false)
		if err != nil {
			a.t.Fatal(err)
		}
		a.healthy.Go(func() {
			defer c.Close()
			in := bufio.NewReader(c)
			for !a.leaving.Load() {
				_ = c.SetDeadline(time.Now().Add(patience))
				err := wsutil.WriteClientText(c, []byte(`{"actioncode":"heart_beat"}`))
				if err == nil {
					var op ws.OpCode
					var answer []byte
					for op, answer, err = readFrame(in); err == nil && op == ws.OpPing; op, answer, err = readFrame(in) {
					}
					if err == nil && string(answer) != heartBeat {
						err = fmt.Errorf("%v %q", op, answer)
					}
				}
				if err != nil {
					a.t.Errorf("client %d, which only sends heartbeats, after %d of them: %v", i, a.served[i].Load(), err)
					return
				}
				a.beats.Add(1)
				a.served[i].Add(1)
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
}

// lasts lets the attack go on, and wants everybody served meanwhile.
func (a *attack) lasts(d time.Duration) {
	var before [len(a.served)]int64
	for i := range a.served {
		before[i] = a.served[i].Load()
	}
	end := time.Now().Add(d)
	until(a.t, "every healthy client is served again", func() bool {
		if a.t.Failed() || a.r.over() {
			a.t.FailNow()
		}
		for i := range a.served {
			if a.served[i].Load() == before[i] {
				return false
			}
		}
		return time.Now().After(end)
	})
}

func (a *attack) end() {
	a.ended.Do(func() { close(a.stop) })
	a.attackers.Wait()
}

func (a *attack) goodbye() {
	a.leaving.Store(true)
	a.healthy.Wait()
}

func (a *attack) stats() (st server.Stats) {
	a.t.Helper()
	_, text := a.r.http("GET", "/v1/stats", "")
	if err := json.Unmarshal([]byte(text), &st); err != nil {
		a.t.Fatalf("%v: %s", err, text)
	}
	return st
}

func (a *attack) until(what string, ok func(server.Stats) bool) (st server.Stats) {
	a.t.Helper()
	until(a.t, what, func() bool {
		st = a.stats()
		return ok(st)
	})
	return st
}
