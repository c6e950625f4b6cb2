package conn

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var proxies = networks("10.0.0.0/8", "2001:db8:ffff::/48", "192.0.2.1")

func networks(list ...string) (n Networks) {
	for _, text := range list {
		p, err := ParseNetwork(text)
		if err != nil {
			panic(err)
		}
		n = append(n, p)
	}
	return n
}

var forwardedFields = []struct {
	fields []string
	client string // "": none
	found  bool
}{
	{nil, "", false},
	{[]string{"X-Forwarded-For: 203.0.113.7"}, "203.0.113.7:0", true},
	{[]string{"x-forwarded-for:203.0.113.7"}, "203.0.113.7:0", true},
	{[]string{"X-Forwarded-For: 198.51.100.1, 203.0.113.7"}, "203.0.113.7:0", true}, // the first is the client's invention
	{[]string{"X-Forwarded-For: 203.0.113.7, 10.1.2.3, 10.0.0.1"}, "203.0.113.7:0", true},
	{[]string{"X-Forwarded-For: 198.51.100.1,203.0.113.7", "Other: 1", "X-Forwarded-For: 10.1.2.3"}, "203.0.113.7:0", true},
	{[]string{"X-Forwarded-For: 203.0.113.7", "X-Forwarded-For:"}, "203.0.113.7:0", true},
	{[]string{"X-Forwarded-For: 203.0.113.7,, 10.1.2.3 ,"}, "203.0.113.7:0", true},
	{[]string{"X-Forwarded-For: 10.9.9.9, 10.1.2.3"}, "10.9.9.9:0", false}, // all are ours: the first of us
	{[]string{"X-Forwarded-For: 203.0.113.7, unknown, 10.1.2.3"}, "10.1.2.3:0", false},
	{[]string{"X-Forwarded-For: unknown"}, "", false},
	{[]string{"X-Forwarded-For: 203.0.113.7:4000"}, "203.0.113.7:4000", true},
	{[]string{"X-Forwarded-For: 2001:db8::7"}, "[2001:db8::7]:0", true},
	{[]string{"X-Forwarded-For: [2001:db8::7]"}, "[2001:db8::7]:0", true},
	{[]string{"X-Forwarded-For: [2001:db8::7]:4000, 2001:db8:ffff::1, 192.0.2.1"}, "[2001:db8::7]:4000", true},
	{[]string{"X-Forwarded-For: 203.0.113.7, ::ffff:10.1.2.3"}, "203.0.113.7:0", true},
	{[]string{"X-Forwarded-For: [203.0.113.7]"}, "", false},
	{[]string{"X-Forwarded-For: [2001:db8::7"}, "", false},
	{[]string{"X-Forwarded-For: [2001:db8::7]4000"}, "", false},
	{[]string{"X-Forwarded-For: ]"}, "", false},
	{[]string{"X-Forwarded-For: :80"}, "", false},
	{[]string{"X-Forwarded-For: 203.0.113.7:"}, "", false},
	{[]string{"X-Forwarded-For: 203.0.113.7:65536"}, "", false},
	{[]string{"X-Forwarded-For: fe80::1%eth0"}, "", false},
	{[]string{"X-Forwarded-For: 0.0.0.0"}, "", false},
	{[]string{`X-Forwarded-For: "203.0.113.7"`}, "", false},
	{[]string{"X-Forwarded-Fort: 203.0.113.7"}, "", false},
	{[]string{"Forwarded: for=203.0.113.7"}, "", false},
}

func TestForwardedFor(t *testing.T) {
	var u Upgrader
	for _, c := range forwardedFields {
		want := netip.AddrPort{}
		if c.client != "" {
			want = netip.MustParseAddrPort(c.client)
		}
		var r Request
		if n, _, err := u.Upgrade(request(getWS, c.fields...), nil, &r); n == 0 || err != nil {
			t.Fatalf("%q: %v", c.fields, err)
		}
		if got, found := r.ForwardedFor(proxies); got != want || found != c.found {
			t.Errorf("%q: %v, %v; want %v, %v", c.fields, got, found, want, c.found)
		}
	}
}

// twinForwarded reads the fields' values with what Go has for it.
func twinForwarded(values []string) (client netip.AddrPort, found bool) {
	items := strings.Split(strings.Join(values, ","), ",")
	slices.Reverse(items)
	for _, item := range items {
		if item = strings.Trim(item, " \t"); item == "" {
			continue
		}
		a, err := netip.ParseAddrPort(item)
		if err == nil && !strings.HasSuffix(item, ":"+strconv.Itoa(int(a.Port()))) {
			return client, false // a port of 007, which netip takes
		}
		if err != nil || strings.HasSuffix(item, ":") {
			bare := item
			if inner, ok := strings.CutPrefix(item, "["); ok && strings.HasSuffix(inner, "]") && strings.Contains(inner, ":") {
				bare = strings.TrimSuffix(inner, "]")
			}
			addr, err := netip.ParseAddr(bare)
			if err != nil {
				return client, false
			}
			a = netip.AddrPortFrom(addr, 0)
		}
		if a.Addr().Zone() != "" || a.Addr().IsUnspecified() {
			return client, false
		}
		a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
		if client = a; !proxies.Contain(a.Addr()) {
			return client, true
		}
	}
	return client, false
}

// FuzzForwardedFor wants what the twin makes of any two fields.
func FuzzForwardedFor(f *testing.F) {
	for _, c := range forwardedFields {
		first, second := "", ""
		if len(c.fields) > 0 {
			_, first, _ = strings.Cut(c.fields[0], ":")
		}
		if len(c.fields) > 1 {
			_, second, _ = strings.Cut(c.fields[len(c.fields)-1], ":")
		}
		f.Add(first, second)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		var u Upgrader
		var r Request
		n, _, err := u.Upgrade(request(getWS, "X-Forwarded-For:"+first, "Other: 1", "x-forwarded-for:"+second), nil, &r)
		if n == 0 || err != nil || strings.ContainsAny(first+second, "\r\n") {
			return
		}
		got, found := r.ForwardedFor(proxies)
		want, wanted := twinForwarded([]string{first, second})
		if got != want || found != wanted {
			t.Fatalf("%q, %q: %v, %v; want %v, %v", first, second, got, found, want, wanted)
		}
	})
}

// FuzzIP holds parseIP and netip together.
func FuzzIP(f *testing.F) {
	for _, text := range []string{"1.2.3.4", "01.2.3.4", "1.2.3.400", "1.2.3", "1.2.3.4.5", "::", "::1", "1::", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:8::",
		"::2:3:4:5:6:7:8", "1::2::3", "1:::2", ":1", "1:", "12345::", "::ffff:1.2.3.4", "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4", "1:2:3:4:5:6::1.2.3.4",
		"1:2:3:4:5::1.2.3.4", "::1.2.3.4:5", "::1.2.3", "fe80::1%eth0", "AbCd::", "g::", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := parseIP([]byte(text))
		want, err := netip.ParseAddr(text)
		if known := err == nil && want.Zone() == ""; ok != known || ok && got != want {
			t.Fatalf("%q: %v, %v; netip: %v, %v", text, got, ok, want, err)
		}
	})
}

func TestParseNetwork(t *testing.T) {
	for text, want := range map[string]string{
		"10.0.0.0/8": "10.0.0.0/8", "10.1.2.3": "10.1.2.3/32", "2001:DB8::/32": "2001:db8::/32", "::1": "::1/128", "0.0.0.0/0": "0.0.0.0/0",
		"": "want a network", "10.0.0.0": "10.0.0.0/32", "10.0.0.1/8": "write 10.0.0.0/8, or 10.0.0.1", "10.0.0.0/33": "want a network", "10.0.0.0/": "want a network",
		"::ffff:10.0.0.0/104": "its own form", "::ffff:10.0.0.1": "want a network", "fe80::1%eth0": "want a network", "example.org": "want a network", "*": "want a network",
	} {
		p, err := ParseNetwork(text)
		if err == nil && p.String() != want || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; want %s", text, p, err, want)
		}
	}
}
