package admin

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"wsd/server"
)

// BenchmarkStream is what one publisher gets through one stream, in messages of
// 100 bytes to all, with a crowd of clients that take everything. The crowd is a
// process of its own, for its descriptors.
func BenchmarkStream(b *testing.B) {
	for _, clients := range []int{1, 100, 1000, 19_000} {
		for _, query := range []string{"", "?answer=errors&wait=false"} {
			b.Run(fmt.Sprintf("clients=%d/query=%s", clients, query), func(b *testing.B) {
				s, base := crowded(b, clients)
				sendLines(b, base+streamPath+query, b.N)
				for s.Stats().PublishesUnderWay > 0 { // with wait=false
					time.Sleep(time.Millisecond)
				}
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
				b.ReportMetric(float64(b.N*clients)/b.Elapsed().Seconds(), "messages/s")
				if st := s.Stats(); st.Clients.Open != int64(clients) || st.MessagesOut < uint64(b.N*clients) {
					b.Errorf("%d clients are left, who got %d messages of %d", st.Clients.Open, st.MessagesOut, b.N*clients)
				}
			})
		}
	}
}

// sendLines writes n lines and waits for the summary.
func sendLines(b *testing.B, url string, n int) {
	line := fmt.Sprintf(`{"all":true,"text":"%s"}`+"\n", strings.Repeat("x", 100))
	body, w := io.Pipe()
	go func() {
		lines := bufio.NewWriterSize(w, 32<<10)
		for range n {
			if _, err := lines.WriteString(line); err != nil {
				return // the answer says why
			}
		}
		w.CloseWithError(lines.Flush())
	}()
	b.ResetTimer()
	r, err := http.Post(url, "", body)
	if err != nil {
		b.Fatal(err)
	}
	defer r.Body.Close()
	last := ""
	answers := bufio.NewScanner(r.Body)
	for answers.Scan() {
		last = answers.Text()
	}
	if !strings.Contains(last, fmt.Sprintf(`"published":%d,"failed":0`, n)) {
		b.Fatalf("the summary is %s", last)
	}
}

// crowded runs a server with so many clients, and returns the URL of its admin side.
func crowded(b *testing.B, clients int) (*server.Server, string) {
	s, err := server.New(server.Config{Listen: []string{"127.0.0.1:0"}, Logger: slog.New(slog.DiscardHandler), DrainTime: -1})
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = s.Stop(ctx, false)
	})
	if most := s.Limits().MaxClients; clients > most {
		b.Skipf("%d clients are more than the %d that the descriptors allow", clients, most)
	}
	a, err := New(Config{Listen: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)}, s)
	if err != nil {
		b.Fatal(err)
	}
	go func() { _ = a.Serve() }()
	b.Cleanup(func() { _ = a.Close() })
	crowd := exec.Command(os.Args[0], "-test.run=^$")
	crowd.Env = append(os.Environ(), crowdEnv+"="+s.Addrs()[0]+" "+strconv.Itoa(clients))
	crowd.Stderr = os.Stderr
	end, err := crowd.StdinPipe()
	if err == nil {
		err = crowd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { end.Close(); _ = crowd.Wait() })
	for deadline := time.Now().Add(time.Minute); s.Stats().Clients.Open < int64(clients); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.Fatalf("%d of %d clients have come", s.Stats().Clients.Open, clients)
		}
	}
	return s, "http://" + a.Addr()
}

const crowdEnv = "WSD_TEST_CROWD" // "address clients": the test binary is the crowd

func TestMain(m *testing.M) {
	if address, clients, is := strings.Cut(os.Getenv(crowdEnv), " "); is {
		if err := beCrowd(address, clients); err != nil {
			fmt.Fprintln(os.Stderr, "crowd:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// beCrowd connects the clients and throws away what they get, as cheaply as can
// be, until standard input ends.
func beCrowd(address, clients string) error {
	n, err := strconv.Atoi(clients)
	if err != nil {
		return err
	}
	poll, err := syscall.EpollCreate1(0)
	if err != nil {
		return err
	}
	for i := range n {
		if err := joinCrowd(poll, address); err != nil {
			return fmt.Errorf("client %d: %w", i, err)
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	events := make([]syscall.EpollEvent, 1024)
	for {
		k, err := syscall.EpollWait(poll, events, -1)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return err
		}
		for _, e := range events[:max(k, 0)] {
			// MSG_TRUNC: the kernel throws it away, nothing is copied.
			if n, _, _ := syscall.Syscall6(syscall.SYS_RECVFROM, uintptr(e.Fd), 0, 1<<20, syscall.MSG_TRUNC, 0, 0); n == 0 {
				syscall.Close(int(e.Fd))
			}
		}
	}
}

// joinCrowd connects one client, with a socket that Go's own poller does not know.
func joinCrowd(poll int, address string) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != nil {
		return err
	}
	const hello = "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
	if _, err := syscall.Write(fd, []byte(hello)); err != nil {
		return err
	}
	answer := make([]byte, 512)
	n, err := syscall.Read(fd, answer)
	if err != nil || !bytes.HasPrefix(answer[:max(n, 0)], []byte("HTTP/1.1 101")) {
		return fmt.Errorf("the handshake was answered by %.100q, %v", answer[:max(n, 0)], err)
	}
	return syscall.EpollCtl(poll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)})
}
