package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// freePorts are some that nobody listens on at the moment.
func freePorts(t *testing.T, n int) (ports []int) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}

// through connects from an address of this host to a proxy, with fields of its
// own, and returns the connection, and the status that it got.
func through(t *testing.T, from string, port int, fields string) (net.Conn, int) {
	t.Helper()
	var c net.Conn
	var err error
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if c, err = dialer.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the proxy does not listen: %v", err)
		}
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(c, "GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n", fields)
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, r.StatusCode
}

func get(t *testing.T, url string) string {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != 200 {
		t.Fatalf("%s: %s %s, %v", url, r.Status, body, err)
	}
	return string(body)
}

// comeFrom wants these addresses, in whatever order, to be those of the clients.
func comeFrom(t *testing.T, admin string, want ...string) {
	t.Helper()
	var got struct{ Clients []struct{ Address string } }
	if err := json.Unmarshal([]byte(get(t, admin+"/v1/clients")), &got); err != nil {
		t.Fatal(err)
	}
	left := map[string]int{}
	for _, c := range got.Clients {
		left[c.Address]++
	}
	for _, a := range want {
		left[a]--
	}
	for a, n := range left {
		if n != 0 {
			t.Errorf("%q: %+d clients; all: %+v, want %q", a, n, got.Clients, want)
		}
	}
}

func adminOf(env []string) string {
	for _, pair := range env {
		if url, ok := strings.CutPrefix(pair, "WSD_ADMIN="); ok {
			return url
		}
	}
	return ""
}

// HAProxy says with both versions of the PROXY protocol whose connection it is,
// and its health checks, that they are its own. It makes the checksum, too.
func TestHAProxy(t *testing.T) {
	needs(t, "HAProxy (Debian package haproxy)", "haproxy", "-v")
	server, env := serve(t, "--proxy-protocol", "--proxy-from=127.0.0.1", "--max-per-address=1")
	admin, ports := adminOf(env), freePorts(t, 2)
	wsd := strings.TrimSuffix(strings.TrimPrefix(env[0], "WSD_URL=ws://"), "/ws")
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	config := fmt.Sprintf(`defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen one
    bind 127.0.0.1:%d
    server wsd %[3]s send-proxy check check-send-proxy inter 100ms
listen two
    bind 127.0.0.1:%[2]d
    server wsd %[3]s send-proxy-v2 proxy-v2-options crc32c,unique-id check check-send-proxy inter 100ms
    unique-id-format wsd-%%[uuid()]
`, ports[0], ports[1], wsd)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	haproxy := start(t, nil, "haproxy", "-db", "-f", file)
	a, status := through(t, "127.0.0.11", ports[0], "")
	b, status2 := through(t, "127.0.0.12", ports[1], "X-Forwarded-For: 203.0.113.7\r\n")
	if status != 101 || status2 != 101 {
		t.Fatalf("%d, %d\n%s", status, status2, haproxy)
	}
	comeFrom(t, admin, a.LocalAddr().String(), b.LocalAddr().String())
	for i, from := range []string{"127.0.0.11", "127.0.0.12"} { // its share is used up
		if _, status := through(t, from, ports[i], ""); status != 503 {
			t.Errorf("a second client of %s: %d", from, status)
		}
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		var st struct {
			Unnamed int `json:"proxy_unnamed"`
		}
		if err := json.Unmarshal([]byte(get(t, admin+"/v1/stats")), &st); err != nil {
			t.Fatal(err)
		}
		if st.Unnamed > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no health check came\n%s", haproxy)
		}
	}
	if c, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.0.13")}}).Dial("tcp", wsd); err == nil {
		if n, _ := io.Copy(io.Discard, c); n != 0 {
			t.Error("who does not come through the proxy is answered")
		}
		c.Close()
	}
	if strings.Contains(haproxy.String(), "DOWN") {
		t.Errorf("HAProxy takes the server for down:\n%s", haproxy)
	}
	server.find(`"level":"WARN","msg":"a connection that came through none of the proxies was refused","address":"127.0.0.13"`)
}

// nginx adds the address of its client to X-Forwarded-For, behind whatever the
// client has put there.
func TestNginx(t *testing.T) {
	needs(t, "nginx (Debian package nginx-light)", "nginx", "-v")
	server, env := serve(t, "--forwarded-from=127.0.0.1,unix", "--max-per-address=2")
	ports, dir := freePorts(t, 2), t.TempDir()
	where := map[string]string{}
	for _, pair := range env {
		name, value, _ := strings.Cut(pair, "=")
		where[name] = value
	}
	proxied := `proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;`
	config := fmt.Sprintf(`daemon off; pid %[1]s/pid; error_log stderr; user root;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
    server { listen 127.0.0.1:%[2]d; location / { proxy_pass %[4]s; %[6]s } }
    server { listen 127.0.0.1:%[3]d; location / { proxy_pass http://unix:%[5]s; %[6]s } }
}
`, dir, ports[0], ports[1], "http://"+strings.TrimSuffix(strings.TrimPrefix(where["WSD_URL"], "ws://"), "/ws"), where["WSD_SOCKET"], proxied)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	nginx := start(t, nil, "nginx", "-e", "stderr", "-c", file)
	for _, port := range ports {
		if _, status := through(t, "127.0.0.11", port, "X-Forwarded-For: 203.0.113.7\r\n"); status != 101 {
			t.Fatalf("%d\n%s", status, nginx)
		}
	}
	if _, status := through(t, "127.0.0.12", ports[1], ""); status != 101 {
		t.Fatalf("%d\n%s", status, nginx)
	}
	comeFrom(t, where["WSD_ADMIN"], "127.0.0.11", "127.0.0.11", "127.0.0.12")
	if _, status := through(t, "127.0.0.11", ports[0], ""); status != 503 {
		t.Errorf("a third client of one address: %d", status)
	}
	unworried(t, server)
}
