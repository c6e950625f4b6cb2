package conn

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// The rules of RFC 6455 in the order of the Autobahn suite's sections, each
// stream in every cut. want is what the sink is told, then how it ends.
var streams = []struct {
	name   string
	stream []byte
	events []string
	err    string
}{
	// 1: framing.
	{"text empty", text(""), []string{`1 ""`}, ""},
	{"text 125", text(strings.Repeat("*", 125)), []string{fmt.Sprintf("1 %q", strings.Repeat("*", 125))}, ""},
	{"text 126", text(strings.Repeat("*", 126)), []string{fmt.Sprintf("1 %q", strings.Repeat("*", 126))}, ""},
	{"binary", blob("\xfe\xff\x00"), []string{`2 "\xfe\xff\x00"`}, ""},
	{"two in one read", join(text("a"), blob("b")), []string{`1 "a"`, `2 "b"`}, ""},
	// 2: pings and pongs.
	{"ping", join(ping(""), ping("\x00\xff"), ping(strings.Repeat("p", 125))),
		[]string{`9 ""`, `9 "\x00\xff"`, fmt.Sprintf("9 %q", strings.Repeat("p", 125))}, ""},
	{"ping too long", ping(strings.Repeat("p", 126)), nil, "closing: 1002 \"control frame longer than 125 bytes\""},
	{"ping announced too long", []byte{0x89, 0xfe}, nil, "closing: 1002 \"control frame longer than 125 bytes\""},
	{"pause at a ping", join(ping(sayPause), text("a"), pong(sayPause), closing(1000, "")), []string{fmt.Sprintf("9 %q", sayPause), `1 "a"`, fmt.Sprintf("a %q", sayPause), `8 "\x03\xe8"`}, "closed by peer: 1000"},
	{"pong unasked", join(pong("x"), text("a")), []string{`a "x"`, `1 "a"`}, ""},
	// 3: reserved bits.
	{"rsv1", join(text("a"), []byte{0xc1, 0x80}), []string{`1 "a"`}, "closing: 1002 \"reserved bits set\""},
	{"rsv2 on ping", []byte{0xa9}, nil, "closing: 1002 \"reserved bits set\""},
	{"rsv3 on close", []byte{0x98, 0x80}, nil, "closing: 1002 \"reserved bits set\""},
	// 4: opcodes.
	{"opcode 3", frame(3, true, ""), nil, "closing: 1002 \"reserved opcode\""},
	{"opcode 7", frame(7, false, "x"), nil, "closing: 1002 \"reserved opcode\""},
	{"opcode 11", frame(11, true, "x"), nil, "closing: 1002 \"reserved opcode\""},
	{"opcode 15", frame(15, true, "x"), nil, "closing: 1002 \"reserved opcode\""},
	// 5: fragmentation.
	{"fragmented ping", frame(ws.OpPing, false, "x"), nil, "closing: 1002 \"fragmented control frame\""},
	{"fragments", cut(ws.OpText, "one ", "two ", "three"), []string{`1 "one two three"`}, ""},
	{"empty fragments", cut(ws.OpText, "", "", ""), []string{`1 ""`}, ""},
	{"empty first fragment", cut(ws.OpBinary, "", "a", "", "bc"), []string{`2 "abc"`}, ""},
	{"long behind short", cut(ws.OpBinary, "a", strings.Repeat("b", 200), "c"),
		[]string{fmt.Sprintf("2 %q", "a"+strings.Repeat("b", 200)+"c")}, ""},
	{"ping between", join(frame(ws.OpText, false, "a"), ping("p"), frame(ws.OpContinuation, true, "b"), text("c")),
		[]string{`9 "p"`, `1 "ab"`, `1 "c"`}, ""},
	{"continuation of nothing", frame(ws.OpContinuation, true, "x"), nil, "closing: 1002 \"continuation of no message\""},
	{"continuation after the end", join(cut(ws.OpText, "a", "b"), frame(ws.OpContinuation, false, "x")),
		[]string{`1 "ab"`}, "closing: 1002 \"continuation of no message\""},
	{"text inside text", join(frame(ws.OpText, false, "a"), text("b")), nil,
		"closing: 1002 \"new message inside a fragmented one\""},
	// 6: UTF-8.
	{"utf8", text("κόσμε 😀"), []string{`1 "κόσμε 😀"`}, ""},
	{"utf8 cut in a rune", cut(ws.OpText, "\xce", "\xba\xe1", "\xbd", "\xb9\xf0\x9f", "\x98", "\x80"), []string{"1 \"κ\u1f79😀\""}, ""},
	{"utf8 surrogate", text("a\xed\xa0\x80"), nil, "closing: 1007 \"text is not UTF-8\""},
	{"utf8 overlong", text("\xc0\xaf"), nil, "closing: 1007 \"text is not UTF-8\""},
	{"utf8 above U+10FFFF", text("\xf4\x90\x80\x80"), nil, "closing: 1007 \"text is not UTF-8\""},
	{"utf8 ends in a rune", text("a\xe2\x82"), nil, "closing: 1007 \"text is not UTF-8\""},
	{"utf8 fragments end in a rune", cut(ws.OpText, "a", "\xe2\x82", ""), nil, "closing: 1007 \"text is not UTF-8\""},
	{"utf8 fails with the end missing", text("ab\xf4\x90cdef")[:10], nil, "closing: 1007 \"text is not UTF-8\""},
	{"utf8 not in binary", cut(ws.OpBinary, "\xed", "\xa0"), []string{`2 "\xed\xa0"`}, ""},
	// 7: closing.
	{"close", join(text("a"), closing(1000, "bye"), text("b")), []string{`1 "a"`, `8 "\x03\xe8bye"`},
		"closed by peer: 1000 \"bye\""},
	{"close empty", join(frame(ws.OpClose, true, ""), ping("x")), []string{`8 ""`}, "closed by peer: 1005"},
	{"close 1 byte", frame(ws.OpClose, true, "\x03"), []string{`8 "\x03"`}, "closing: 1002 \"close frame of one byte\""},
	{"close 1001", closing(1001, ""), []string{`8 "\x03\xe9"`}, "closed by peer: 1001"},
	{"close reason not utf8", closing(1000, "\xff"), []string{`8 "\x03\xe8\xff"`}, "closing: 1007 \"text is not UTF-8\""},
	{"close too long", frame(ws.OpClose, true, "\x03\xe8"+strings.Repeat("r", 124)), nil, "closing: 1002 \"control frame longer than 125 bytes\""},
	{"close inside a message", join(frame(ws.OpText, false, "a"), closing(1000, "")), []string{`8 "\x03\xe8"`},
		"closed by peer: 1000"},
	// 9 and beyond: lengths, masks.
	{"long form of 125", []byte{0x82, 0xfe, 0, 125}, nil, "closing: 1002 \"length not in its shortest form\""},
	{"longest form of 65535", []byte{0x82, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, nil,
		"closing: 1002 \"length not in its shortest form\""},
	{"length of 64 bits", []byte{0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0}, nil, "closing: 1002 \"length over 63 bits\""},
	{"length of 63 bits", []byte{0x82, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255}, nil, "closing: 1009 \"message too big\""},
	{"unmasked", AppendFrame(nil, ws.OpText, []byte("x")), nil, "closing: 1002 \"frame not masked\""},
	// The sink's own endings.
	{"pause", join(text("a"), text(sayPause), text("b"), cut(ws.OpText, "pa", "use"), ping("c")),
		[]string{`1 "a"`, `1 "pause"`, `1 "b"`, `1 "pause"`, `9 "c"`}, ""},
	{"sink closes", join(text(sayClose), text("not told"), ping("nor"), cut(ws.OpText, "\xff", ""), closing(1000, "")),
		[]string{`1 "close"`}, "closing: 4001 \"enough\""},
	{"sink closes, then nonsense", join(text(sayClose), frame(3, true, "")), []string{`1 "close"`}, "closing: 4001 \"enough\""},
	{"sink fails", join(text(sayFault), text("x")), []string{`1 "fault"`}, "closing: 1011"},
	{"sink refuses a ping", join(frame(ws.OpText, false, "abc"), ping(sayFlood), frame(ws.OpContinuation, true, "d"), closing(1000, "")),
		[]string{`9 "flood"`}, "closing: 1008 \"too many pings\""},
	{"sink refuses a close", join(frame(ws.OpClose, true, sayFlood), text("x")), []string{`8 "flood"`},
		"closing: 1008 \"too many pings\""},
}

func TestStreams(t *testing.T) {
	for _, c := range streams {
		t.Run(c.name, func(t *testing.T) {
			got := checkCuts(t, Protocol{}, c.stream)
			if fmt.Sprint(got.events) != fmt.Sprint(c.events) {
				t.Errorf("told %q, want %q", got.events, c.events)
			}
			if got.err != c.err {
				t.Errorf("error %q, want %q", got.err, c.err)
			}
		})
	}
}

// Any of the streams above may follow any other: nothing of a message may be
// left in the state of the next one.
func TestStreamsJoined(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var stream []byte
		for range 2 + rnd.IntN(6) {
			stream = append(stream, streams[rnd.IntN(len(streams))].stream...)
		}
		p := Protocol{MaxMessage: 1 + rnd.IntN(300), MaxFragments: 1 + rnd.IntN(5)}
		want := runTwin(p, stream)
		for range 5 {
			got := feedCut(t, p, stream, func() int { return rnd.IntN(20) })
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("%+v, stream %x:\n got %+v\nwant %+v", p, stream, got, want)
			}
		}
	}
}

func TestCloseCodes(t *testing.T) {
	valid := func(code int) bool {
		switch code {
		case 1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014:
			return true
		}
		return code >= 3000 && code < 5000
	}
	for _, code := range []int{0, 1, 999, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009, 1010, 1011,
		1012, 1013, 1014, 1015, 1016, 1100, 1999, 2000, 2999, 3000, 3999, 4000, 4999, 5000, 65535} {
		got := checkCuts(t, Protocol{}, closing(ws.StatusCode(code), "why"))
		want := string(AppendFrame(nil, ws.OpClose, []byte{byte(code >> 8), byte(code)}))
		if !valid(code) {
			want = string(AppendFrame(nil, ws.OpClose, ws.NewCloseFrameBody(1002, "close code not allowed")))
		}
		if got.out != want {
			t.Errorf("code %d is answered with %q, want %q", code, got.out, want)
		}
	}
}

func TestLimits(t *testing.T) {
	p := Protocol{MaxMessage: 10, MaxFragments: 3}
	const tooBig, tooMany = "closing: 1009 \"message too big\"", "closing: 1008 \"too many fragments\""
	for _, c := range []struct {
		stream []byte
		err    string
	}{
		{text("0123456789"), ""},
		{text("0123456789a")[:2], tooBig},
		{cut(ws.OpText, "01234", "56789", ""), ""},
		{cut(ws.OpText, "01234", "56789a"), tooBig},
		{cut(ws.OpText, "", "", ""), ""},
		{cut(ws.OpText, "", "", "", ""), tooMany},
		{join(cut(ws.OpText, "", "", ""), cut(ws.OpBinary, "", "", "")), ""},
	} {
		if got := checkCuts(t, p, c.stream); got.err != c.err {
			t.Errorf("%x: error %q, want %q", c.stream, got.err, c.err)
		}
	}
	huge := Protocol{MaxMessage: 1 << 50, MaxFragments: 1 << 40}
	if huge.maxMessage() != 1<<30 || huge.maxFragments() != 1<<16-1 {
		t.Error("limits beyond what a State can count are not cut")
	}
}

// Lengths around each form of the header, and around the point where joining
// changes what it moves.
func TestLengths(t *testing.T) {
	p := Protocol{MaxMessage: 1 << 20}
	for _, n := range []int{0, 1, 15, 16, 17, 125, 126, 127, 65535, 65536, 70001} {
		long := strings.Repeat("x", n)
		for _, stream := range [][]byte{text(long), cut(ws.OpBinary, "abc", long, "de"), cut(ws.OpText, long, long)} {
			whole := feedCut(t, p, stream, constant(len(stream)))
			for _, piece := range []int{997, 4096, 65536} {
				got := feedCut(t, p, stream, constant(piece))
				if fmt.Sprint(got) != fmt.Sprint(whole) || got.err != "" || len(got.events) != 1 {
					t.Errorf("length %d in pieces of %d is not what it is in one", n, piece)
				}
			}
		}
	}
}

// A caller whose leftover buffer is its input has nothing to move while a
// frame comes in, so that the work stays linear at one byte per read.
func TestRestStaysInPlace(t *testing.T) {
	var p Protocol
	var s State
	r := recorder{t: t}
	buf := make([]byte, 0, 2048)
	for i, b := range join(text(strings.Repeat("x", 1000)), frame(ws.OpText, false, "a")) {
		buf = append(buf, b)
		rest, _, err := p.Feed(&s, buf, nil, &r)
		if err != nil {
			t.Fatal(err)
		}
		if s.InMessage() && i > 8 && len(rest) > 1 && &rest[0] != &buf[0] {
			t.Fatalf("byte %d: rest moved", i)
		}
		buf = buf[:copy(buf, rest)]
	}
	if len(r.events) != 1 || string(buf) != "a" {
		t.Errorf("%d messages, leftover %q", len(r.events), buf)
	}
}

func TestNothingKeptBetweenMessages(t *testing.T) {
	var p Protocol
	var s State
	for _, stream := range [][]byte{text("a"), cut(ws.OpText, "a", "b"), ping("x"), join(text("a"), pong("b"))} {
		rest, _, err := p.Feed(&s, stream, nil, &recorder{t: t})
		if rest != nil || err != nil || s.InMessage() {
			t.Errorf("rest %x, error %v, in a message: %v", rest, err, s.InMessage())
		}
	}
}

func TestFeedWithoutItsLeftover(t *testing.T) {
	var p Protocol
	var s State
	p.Feed(&s, text("abcdef")[:9], nil, &recorder{t: t})
	defer func() {
		if recover() == nil {
			t.Error("a lost leftover went unnoticed")
		}
	}()
	p.Feed(&s, []byte("x"), nil, &recorder{t: t})
}
