package server

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The tests of this file run the server in a process of its own, with 96
// descriptors, and tell it on its standard input what to do.

// runChild is that process. Each line of the input is answered by one line.
func runChild(what string) int {
	if what != "exhaustion" {
		fmt.Fprintln(os.Stderr, "no such child:", what)
		return 2
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 96, Max: 96}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// A tick of 20 ms, so that rests end soon after their time.
	s, err := New(Config{Listen: []string{"127.0.0.1:0"}, Loops: 2, DrainTime: 320 * time.Millisecond, CloseTimeout: 5 * time.Second,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(s.Addrs()[0])
	var held []int
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		switch in.Text() {
		case "hold": // all descriptors that are left, while three are being refused
			s.population.refused.Add(3)
			s.population.connected.Add(3)
			for {
				fd, err := syscall.Open("/dev/null", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
				if err != nil {
					break
				}
				held = append(held, fd)
			}
			fmt.Println(len(held))
		case "free":
			for _, fd := range held {
				_ = syscall.Close(fd)
			}
			held = nil
			s.population.refused.Add(-3)
			s.population.connected.Add(-3)
			fmt.Println("ok")
		case "stats":
			_ = json.NewEncoder(os.Stdout).Encode(s.Stats())
		}
	}
	if err := s.Stop(context.Background(), false); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// offspring is the child as its parent sees it.
type offspring struct {
	t     *testing.T
	addr  string
	in    io.WriteCloser
	out   *bufio.Reader
	log   *strings.Builder // good once the child has ended
	ended chan error
}

// emulator is the variable that names what runs a program of another processor
// ("make arm64-test"), for this one starts itself.
const emulator = "WSD_EMULATOR"

func spawn(t *testing.T, what string) *offspring {
	t.Helper()
	args := append(strings.Fields(os.Getenv(emulator)), os.Args[0])
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), child+"="+what)
	o := &offspring{t: t, log: &strings.Builder{}, ended: make(chan error, 1)}
	cmd.Stderr = o.log
	var err error
	if o.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	o.out = bufio.NewReader(r)
	waited := make(chan struct{})
	go func() { o.ended <- cmd.Wait(); close(waited) }()
	t.Cleanup(func() { _ = cmd.Process.Kill(); <-waited; r.Close() })
	o.addr = o.line()
	return o
}

func (o *offspring) line() string {
	o.t.Helper()
	line, err := o.out.ReadString('\n')
	if err != nil {
		o.t.Fatalf("the child says nothing: %v", err)
	}
	return strings.TrimSpace(line)
}

func (o *offspring) tell(what string) string {
	o.t.Helper()
	if _, err := io.WriteString(o.in, what+"\n"); err != nil {
		o.t.Fatal(err)
	}
	return o.line()
}

func (o *offspring) stats() (st Stats) {
	o.t.Helper()
	if err := json.Unmarshal([]byte(o.tell("stats")), &st); err != nil {
		o.t.Fatal(err)
	}
	return st
}

// TestExhaustion: without a descriptor left, newcomers are refused, those who
// are there notice nothing, the loop does not spin, the log is not flooded, and
// accepting goes on by itself as soon as it can.
func TestExhaustion(t *testing.T) {
	o := spawn(t, "exhaustion")
	dial := func() *peer {
		p := connectTo(t, o.addr)
		p.shake("/ws")
		return p
	}
	var peers []*peer
	for range 20 {
		peers = append(peers, dial())
	}
	beats := uint64(0)
	all := func() {
		t.Helper()
		for _, p := range peers {
			_ = p.SetDeadline(time.Now().Add(patience))
			p.alive()
			beats++
		}
	}
	all()
	if held := o.tell("hold"); held == "0" {
		t.Fatal("no descriptors were left to take away")
	}
	before := o.stats()
	for i := 0; ; i++ {
		if c, err := dialQuietly(o.addr); err == nil { // else reset that early
			_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond)) // it may be turned away later
			if _, err := c.Read(make([]byte, 1)); err == nil {
				t.Fatal("a newcomer got a byte")
			}
			c.Close()
		}
		all()
		st := o.stats()
		if st.AcceptBackoffs >= before.AcceptBackoffs+4 && st.TurnedAway > before.TurnedAway {
			// What a loop may turn for: its ticks, the messages, our questions,
			// and a few for each time that accepting was tried.
			ticks := uint64((st.Uptime-before.Uptime)*1000/20) + 2
			most := uint64(st.Loops)*ticks + 2*beats + 4*uint64(i+1)*uint64(st.Loops) + 10*(st.AcceptBackoffs-before.AcceptBackoffs)
			if turns := st.Turns - before.Turns; turns > 2*most {
				t.Errorf("%d turns during %d rests, and %d ticks, %d beats, %d questions", turns, st.AcceptBackoffs-before.AcceptBackoffs, ticks, beats, i+1)
			}
			if st.Opened != 20 || st.Clients.Open != 20 {
				t.Errorf("%s", describe(st))
			}
			break
		}
	}
	o.tell("free")
	eventually(t, says("accepting goes on"), func() bool {
		c, err := dialQuietly(o.addr)
		if err != nil {
			return false
		}
		p := peerOf(t, c)
		p.try(request("/ws"))
		_ = p.SetReadDeadline(time.Now().Add(time.Second))
		first, err := p.br.Peek(12)
		if err != nil || string(first) != "HTTP/1.1 101" {
			p.Close()
			return false
		}
		p.response()
		_ = p.SetReadDeadline(time.Time{})
		peers = append(peers, p)
		return true
	})
	all()
	most := o.stats().Clients.Max
	if most != 32 {
		t.Errorf("a limit of %d clients with 96 descriptors", most)
	}
	for len(peers) < most {
		peers = append(peers, dial())
	}
	p := connectTo(t, o.addr) // one too many: within the reserve
	p.write(request("/ws"))
	p.refused(503)
	p.Close()
	all()
	o.in.Close() // stop
	for _, p := range peers {
		p.closedWith(1001)
		p.Close()
	}
	select {
	case err := <-o.ended:
		if err != nil {
			t.Errorf("the child ended with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the child does not end")
	}
	if !strings.Contains(o.log.String(), "clients=20 ") {
		t.Errorf("the log does not speak of the 20 clients:\n%s", o.log)
	}
	if lines := strings.Count(o.log.String(), "\n"); lines == 0 || lines > 2 {
		t.Errorf("%d lines in the log:\n%s", lines, o.log)
	}
}
