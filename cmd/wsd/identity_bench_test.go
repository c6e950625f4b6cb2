package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/golang-jwt/jwt/v5"

	"wsd/conn"
)

// esKeys are tokens of one ES256 key, and that key.
func esKeys(b *testing.B, n int) (file string, tokens []string) {
	b.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	file = b.TempDir() + "/set.json"
	if err := os.WriteFile(file, []byte(keySet(key, "k")), 0o600); err != nil {
		b.Fatal(err)
	}
	for i := range n {
		tokens = append(tokens, esToken(b, key, "k", jwt.MapClaims{"sub": fmt.Sprintf("user-%031d", i), "iss": "https://id.example/realms/app", "aud": "wsd",
			"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}))
	}
	return file, tokens
}

// BenchmarkConnectCached is what is asked about the token of a newcomer that is
// remembered; server.BenchmarkNewcomer has the rest.
func BenchmarkConnectCached(b *testing.B) {
	file, tokens := esKeys(b, 1)
	keys, err := openTokens(&identityFlags{TokenJwks: []string{file}, TokenJwksRefresh: span(time.Hour)}, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer keys.stop()
	token := []byte(tokens[0])
	if _, err := keys.authenticate(nil, token); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	began := processorTime()
	for b.Loop() {
		if _, known, err := keys.recall(token); !known || err != nil {
			b.Fatal(known, err)
		}
	}
	b.ReportMetric(float64(processorTime()-began)/float64(b.N), "cpu-ns/op")
}

// processorTime is that of the process so far: beside others it tells more than a clock.
func processorTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkReconnects is a crowd of 100,000 that comes back with 10,000 different ES256
// tokens, 128 at a time, to the real program: to one that asks nobody, one that has
// never seen the tokens (new), and one that remembers them (again), in turn, for five
// rounds. It tells the processor time of the first, and how much more the others took in
// the same round: medians, for what the kernel takes for connections differs by a second
// from run to run. One more round has the heartbeats of somebody beside.
//
//	go test -run '^$' -bench Reconnects -benchtime 1x ./cmd/wsd
func BenchmarkReconnects(b *testing.B) {
	const crowd, rounds = 100_000, 5
	file, tokens := esKeys(b, 10_000)
	runs := []struct {
		name  string
		flags []string
		fresh bool // nothing is remembered
	}{
		{"off", nil, false},
		{"new", []string{"--auth=optional", "--token-jwks=" + file, "--token-audience=wsd"}, true},
		{"again", []string{"--auth=optional", "--token-jwks=" + file, "--token-audience=wsd"}, false},
	}
	for range b.N {
		took := map[string][]float64{}
		for round := range rounds + 1 {
			for _, run := range runs {
				r := serveBench(b, run.flags...)
				if !run.fresh {
					r.reconnect(b, tokens, len(tokens))
				}
				if round < rounds {
					before := r.cpu(b)
					r.reconnect(b, tokens, crowd)
					took[run.name] = append(took[run.name], r.cpu(b)-before)
				} else {
					p50, p99 := r.beside(b, func() { r.reconnect(b, tokens, crowd) })
					b.ReportMetric(float64(p50.Microseconds()), run.name+"-p50-µs")
					b.ReportMetric(float64(p99.Microseconds()), run.name+"-p99-µs")
				}
				r.stop()
			}
		}
		median := func(v []float64) float64 { return slices.Sorted(slices.Values(v))[len(v)/2] }
		b.ReportMetric(median(took["off"]), "off-cpu-s")
		for _, name := range []string{"new", "again"} {
			for i, before := range took["off"] {
				took[name][i] -= before
			}
			b.ReportMetric(median(took[name]), name+"-more-cpu-s")
		}
	}
}

// benched is a program under a benchmark.
type benched struct {
	listen string
	pid    int
	stop   func()
}

func serveBench(b *testing.B, flags ...string) *benched {
	b.Helper()
	cmd := program(b, nil, append([]string{"serve", "--log-format=json", "--admin=127.0.0.1:0", "--listen=127.0.0.1:0", "--drain-time=0"}, flags...)...)
	log := new(output)
	cmd.Stderr, cmd.Stdout = log, log
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	r := &running{log: log}
	for end := time.Now().Add(patience); r.find("serving") == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.Fatal(log)
		}
	}
	line := r.find("serving")
	return &benched{line["listen"].([]any)[0].(string), cmd.Process.Pid, func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }}
}

// reconnect has n clients come and go, 128 at a time.
func (r *benched) reconnect(b *testing.B, tokens []string, n int) {
	var next atomic.Int64
	var all sync.WaitGroup
	for range 128 {
		all.Go(func() {
			buf := make([]byte, 512)
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				c, err := net.Dial("tcp", r.listen)
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = c.Write(conn.AppendRequest(nil, "test", "/ws", [16]byte{}, "Authorization: Bearer "+tokens[i%int64(len(tokens))]))
				if n, err := c.Read(buf); err != nil || string(buf[9:12]) != "101" {
					b.Errorf("%s %v", buf[:n], err)
					return
				}
				_ = c.(*net.TCPConn).SetLinger(0)
				c.Close()
			}
		})
	}
	all.Wait()
}

// beside measures the heartbeats of ten clients while f runs.
func (r *benched) beside(b *testing.B, f func()) (p50, p99 time.Duration) {
	frame := conn.AppendMasked(nil, ws.OpText, true, []byte(`{"actioncode":"heart_beat"}`), [4]byte{1, 2, 3, 4})
	var over atomic.Bool
	var mu sync.Mutex
	var took []time.Duration
	var all sync.WaitGroup
	for range 10 {
		c, err := net.Dial("tcp", r.listen)
		if err != nil {
			b.Fatal(err)
		}
		in := bufio.NewReader(c)
		_, _ = c.Write(conn.AppendRequest(nil, "test", "/ws", [16]byte{}))
		for line := ""; line != "\r\n"; {
			if line, err = in.ReadString('\n'); err != nil {
				b.Fatal(err)
			}
		}
		all.Go(func() {
			defer c.Close()
			answer := make([]byte, len(conn.Compile(ws.OpText, []byte(heartBeat))))
			for !over.Load() {
				began := time.Now()
				_, _ = c.Write(frame)
				if _, err := io.ReadFull(in, answer); err != nil {
					b.Error(err)
					return
				}
				mu.Lock()
				took = append(took, time.Since(began))
				mu.Unlock()
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	f()
	over.Store(true)
	all.Wait()
	slices.Sort(took)
	return took[len(took)/2], took[len(took)*99/100]
}

// cpu is the processor time of the program so far, in seconds.
func (r *benched) cpu(b *testing.B) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", r.pid))
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest) // from the third on
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return float64(user+system) / 100
}
