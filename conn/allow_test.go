package conn

import "testing"

func TestHostsAllowed(t *testing.T) {
	for _, c := range []struct {
		pattern, host string
		want          bool
	}{
		{"example.com", "example.com", true},
		{"example.com", "EXAMPLE.com", true},
		{"Example.com", "example.COM:8066", true},
		{"example.com:8066", "example.com:8066", true},
		{"example.com:8066", "example.com", false},
		{"example.com:8066", "example.com:80", false},
		{"example.com", "www.example.com", false},
		{"example.com", "example.com.evil", false},
		{"example.com", "notexample.com", false},
		{"*.example.com", "www.example.com:1", true},
		{"*.example.com", "a.b.example.com", true},
		{"*.example.com", "example.com", false},
		{"*.example.com", ".example.com", false},
		{"*.example.com", "notexample.com", false},
		{"*.example.com:80", "a.example.com:80", true},
		{"*.example.com:80", "a.example.com:81", false},
		{"*", "example.com", false},
		{"*example.com", "notexample.com", false},
		{"[::1]", "[::1]:8066", true},
		{"[::1]:80", "[::1]:8066", false},
	} {
		u := Upgrader{Hosts: []string{"other", c.pattern}}
		_, _, err := u.Upgrade(request(getWS, "Host: "+c.host), nil, new(Request))
		if (err == nil) != c.want {
			t.Errorf("Hosts %q, Host %q: %v", c.pattern, c.host, err)
		}
	}
}

func TestOriginsAllowed(t *testing.T) {
	for _, c := range []struct {
		pattern, origin string
		want            bool
	}{
		{"https://example.com", "https://example.com", true},
		{"https://example.com", "HTTPS://Example.com", true},
		{"https://example.com", "http://example.com", false},
		{"https://example.com", "https://example.com:444", false},
		{"https://example.com", "https://example.com.evil", false},
		{"example.com", "http://example.com:81", true},
		{"*.example.com", "https://a.example.com", true},
		{"*.example.com", "https://example.com", false},
		{"*.example.com", "null", false},
		{"null", "null", true},
		{"example.com", "example.com", true},
		{"example.com", "", false},
	} {
		u := Upgrader{Origins: []string{"http://other", c.pattern}}
		_, _, err := u.Upgrade(request(getWS, "Origin: "+c.origin), nil, new(Request))
		if (err == nil) != c.want {
			t.Errorf("Origins %q, Origin %q: %v", c.pattern, c.origin, err)
		}
	}
	u := Upgrader{Origins: []string{"http://other"}}
	if _, _, err := u.Upgrade(request(getWS), nil, new(Request)); err != nil {
		t.Errorf("a client that is no browser: %v", err)
	}
}
