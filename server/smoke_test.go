package server

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

func TestHeartbeat(t *testing.T) {
	s, err := New(Config{Listen: []string{"127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	c, _, _, err := ws.Dial(context.Background(), "ws://"+s.Addrs()[0]+"/ws")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 3 {
		if err := wsutil.WriteClientText(c, []byte(`{"actioncode":"heart_beat"}`)); err != nil {
			t.Fatal(err)
		}
		p, err := wsutil.ReadServerText(c)
		if err != nil || string(p) != `{"code":0,"msg":"success","data":true,"actioncode":"heart_beat"}` {
			t.Fatalf("%s %v", p, err)
		}
	}
	r, err := s.Publish(context.Background(), All(), Message{Data: []byte("hello")})
	if err != nil || r.Sent != 1 {
		t.Fatalf("%+v %v", r, err)
	}
	p, err := wsutil.ReadServerText(c)
	if err != nil || string(p) != "hello" {
		t.Fatalf("%s %v", p, err)
	}
	t.Logf("%+v", s.Stats())
	done := make(chan error, 1)
	go func() { done <- s.Stop(context.Background(), false) }()
	_, err = wsutil.ReadServerText(c)
	t.Log(err)
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("hangs")
	}
	_ = net.Conn(c)
	t.Logf("%+v", s.Stats())
}
