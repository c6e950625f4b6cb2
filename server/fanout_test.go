package server

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"wsd/dispatch"
)

// TestFanOutRefused: addressing others takes the operator's or the token's
// permission, on the loop and in the pool.
func TestFanOutRefused(t *testing.T) {
	for name, m := range map[string]*dispatch.Mux{"loop": testMux(), "worker": slowMux()} {
		t.Run(name, func(t *testing.T) { refused(t, m) })
	}
}

func refused(t *testing.T, m *dispatch.Mux) {
	s := start(t, Config{Mux: m})
	p, q := s.dial(), s.dial()
	for _, c := range []struct{ token, msg, code string }{
		{"", "permission denied", "9"}, {"bob", "permission denied", "9"}, {"x/bad", "token invalid", "6"}, {"x/expired", "token expired", "7"},
		{"x/panic", "system exception", "4"},
	} {
		for _, action := range []string{"echo", "heart_beat", "add_pooled", "add_later"} {
			for _, to := range []string{`"is_broadcast":true`, `"client_ids":["` + q.id() + `"]`} {
				p.ask(fmt.Sprintf(`{"actioncode":"%s","data":[1],%s,"token":"%s","seq":1}`, action, to, c.token),
					fmt.Sprintf(`{"code":%s,"msg":"%s","data":null,"actioncode":"%s","seq":1}`, c.code, c.msg, action))
			}
		}
	}
	p.ask(`{"actioncode":"echo","data":1,"client_ids":[]}`, good("1", "echo")) // nobody is addressed
	q.alive()                                                                  // and has got nothing before that answer
	if st := s.Stats(); st.Publishes != 0 {
		t.Errorf("%d answers went out to others", st.Publishes)
	}
}

// TestFanOut: who may, reaches all, or the listed ones and itself, each once.
func TestFanOut(t *testing.T) {
	for name, c := range map[string]struct {
		cfg   Config
		token string
	}{
		"operator": {Config{Mux: testMux(), ClientFanout: true}, ""},
		"token":    {Config{Mux: testMux()}, "ann/fanout"},
		"worker":   {Config{Mux: slowMux()}, "ann/fanout"},
	} {
		t.Run(name, func(t *testing.T) {
			c.cfg.Loops = 3
			s := start(t, c.cfg)
			all := s.dialMany(12)
			for i, action := range []string{"echo", "add", "add_pooled", "add_later"} {
				req := func(extra string) string {
					return fmt.Sprintf(`{"actioncode":"%s","data":[],"token":"%s","seq":%d,%s}`, action, c.token, i, extra)
				}
				data := "0"
				if action == "echo" {
					data = "[]"
				}
				want := answer(0, "success", data, action, fmt.Sprint(i))

				all[0].send(req(`"is_broadcast":true,"client_ids":["` + all[1].id() + `"]`))
				for _, p := range all {
					p.expect(want)
				}
				gone := s.dial()
				goneID := gone.id()
				gone.leave()
				ids := []string{all[3].id(), all[3].id(), all[0].id(), strings.ToUpper(all[7].id()), goneID, "00000000-0000-4000-8000-000000000000"}
				all[0].send(req(`"client_ids":["` + strings.Join(ids, `","`) + `"]`))
				for _, k := range []int{0, 3, 7} {
					all[k].expect(want)
				}
				// A failing answer is the sender's alone.
				all[2].ask(`{"actioncode":"fail_pooled","is_broadcast":true,"token":"`+c.token+`"}`, answer(4, "system exception", "null", "fail_pooled", ""))
				all[2].ask(`{"actioncode":"nope","is_broadcast":true,"token":"`+c.token+`"}`, answer(5, "method not found", "null", "nope", ""))
				for _, p := range all {
					p.alive() // nobody has got more
				}
			}
		})
	}
}

// TestFanOutFlood: while a loop is behind, clients cannot pile up answers to all
// without end: they are told to try again later.
func TestFanOutFlood(t *testing.T) {
	s := start(t, Config{Mux: testMux(), ClientFanout: true, Loops: 2})
	var at [2]*peer // somebody of each loop: one that has nobody is not asked
	for at[0] == nil || at[1] == nil {
		p := s.dial()
		at[s.loopOf(uuid.MustParse(p.id()))] = p
	}
	p := at[0]
	release, held := make(chan struct{}), make(chan struct{})
	s.loops[1].post(func(*loop) { close(held); <-release })
	<-held
	const n, more = fanOutsAtOnce, 100
	ask := text(`{"actioncode":"echo","data":1,"is_broadcast":true}`)
	go p.try(strings.Repeat(ask, n+more))
	got := map[string]int{}
	for range n + more { // its own loop is not behind
		got[p.recv()]++
	}
	close(release)
	if busy := answer(10, "busy", "null", "echo", ""); got[busy] != more || got[good("1", "echo")] != n {
		t.Errorf("%d of %d are told so", got[busy], more)
	}
	over := func() bool { return s.backlog.count.Load() == 0 }
	eventually(t, says("the other loop has caught up"), over)
	p.write(ask)
	p.expect(good("1", "echo"))
	eventually(t, says("all have arrived"), over)
	if st := s.Stats(); st.ActionsBusy != more || st.Actions["echo"][10] != more {
		t.Errorf("%d busy, %v", st.ActionsBusy, st.Actions["echo"])
	}
}
