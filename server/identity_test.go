package server

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

// TestExpiry: a client goes when its token has expired, and the leeway; one that asked
// for it is told before, and a new token of the same user prolongs.
func TestExpiry(t *testing.T) {
	s, clock := knowing(t, Config{Loops: 1, IdleTimeout: -1})
	short, told, prolonged, ever := s.dialAs("ada;exp=60"), s.connect(), s.dialAs("cyd;exp=60"), s.dialAs("dan")
	told.write(request("/ws?token_expires=warn", bearer("bob;exp=60")))
	if r := told.response(); r.StatusCode != 101 {
		t.Fatal(r.Status)
	}
	pass := func(seconds int64) {
		t.Helper()
		clock.Add(seconds)
		s.sleep(time.Duration(seconds) * time.Second)
	}
	told.send(`{"actioncode":"whoami"}`)
	if got := told.recv(); !strings.Contains(got, `"expires_at":"2027-01-15T08:01:00Z"`) {
		t.Error(got)
	}
	pass(59)
	short.alive()
	prolonged.send(`{"actioncode":"auth","token":"cyd;exp=600"}`)
	if got := prolonged.recv(); !strings.Contains(got, `{"code":0,`) {
		t.Error(got)
	}
	prolonged.ask(`{"actioncode":"auth","token":"eve;exp=6000"}`, answer(9, "the token is another user's", "null", "auth", ""))
	pass(31) // exp and the whole leeway
	if code, reason := short.ended(); code != 3000 || reason != "token expired" {
		t.Errorf("%d %q", code, reason)
	}
	if got := told.recv(); !strings.HasPrefix(got, `{"actioncode":"token_expires","data":{"in":`) {
		t.Error(got)
	}
	told.closedWith(3000)
	prolonged.alive()
	ever.alive()
	pass(700)
	prolonged.closedWith(3000)
	ever.alive()
	s.closed(ReasonExpired, 3)
	if st := s.Stats(); st.Auth["prolonged"] != 1 || st.Auth["forbidden"] != 1 || st.Users != 1 {
		t.Errorf("%v, %d users", st.Auth, st.Users)
	}
}

// TestExpiryIsSpread: those whose tokens end in one second go over the leeway.
func TestExpiryIsSpread(t *testing.T) {
	s, clock := knowing(t, Config{Loops: 1, TokenLeeway: 30 * time.Second})
	peers := make([]*peer, 300)
	for i := range peers {
		peers[i] = s.dialAs(fmt.Sprintf("u%d;exp=10", i))
	}
	last := uint64(0)
	for step := range 4 {
		clock.Add(10)
		s.sleep(10 * time.Second)
		st := s.until("they go", func(st Stats) bool {
			// All whose part is over: of 300, thirds of them but for chance.
			n := st.Closed["expired"]
			return n >= uint64(step)*100-uint64(min(step, 1)*50) && n > last || step == 0
		})
		if n := st.Closed["expired"]; step == 0 && n > 10 || step == 1 && n > 150 || step == 3 && n != 300 {
			t.Errorf("%d after %d s", n, 10*(step+1))
		}
		last = st.Closed["expired"]
	}
}

// TestExpiryOfMany: of 100,000 clients whose tokens end in one second, as many go in each
// second of the leeway, at a node of a cluster as well.
func TestExpiryOfMany(t *testing.T) {
	const n, seconds = 100_000, 30
	for _, tagged := range []bool{false, true} {
		var made ids
		if tagged {
			made.setTag(0xbeef)
		}
		s := &Server{cfg: Config{TokenLeeway: seconds * time.Second}, wall: func() time.Time { return time.Unix(0, 0) }}
		var goes [seconds]int
		for range n {
			goes[s.timeLeft(&client{id: made.next()}, &ident{})/time.Second]++
		}
		for i, got := range goes { // 3,333, give or take 57
			if got < 2900 || got > 3800 {
				t.Errorf("tagged: %v; in second %d go %d of %d", tagged, i, got, n)
			}
		}
	}
}

// TestUsers: a publish to users reaches all their clients and nobody else, over all
// loops, and the books are right whatever comes and goes.
func TestUsers(t *testing.T) {
	s, _ := knowing(t, Config{Loops: 3})
	random := rand.New(rand.NewPCG(1, 2))
	of := map[string][]*peer{}
	n := 0
	for range 300 {
		user := fmt.Sprintf("user-%d", random.IntN(12))
		if list := of[user]; random.IntN(3) == 0 && len(list) > 0 {
			i := random.IntN(len(list))
			list[i].leave()
			of[user] = append(list[:i:i], list[i+1:]...)
			n--
			continue
		}
		of[user] = append(of[user], s.dialAs(user))
		n++
	}
	users := 0
	for user, list := range of {
		s.sent(User(user, "nobody", user), "to "+user, len(list))
		for _, p := range list {
			p.expect("to " + user)
		}
		got, err := s.UserClients(t.Context(), user, 1000)
		if err != nil || len(got) != len(list) {
			t.Errorf("%s has %d clients, listed are %d, %v", user, len(list), len(got), err)
		}
		for _, c := range got {
			if c.User != user {
				t.Errorf("%+v", c)
			}
		}
		if len(list) > 0 {
			users++
		}
	}
	if st := s.Stats(); st.Users != int64(users) {
		t.Errorf("%d users, want %d", st.Users, users)
	}
	if closed, err := s.CloseUser(t.Context(), "user-3", 4001, "out"); err != nil || closed != len(of["user-3"]) {
		t.Errorf("%d closed, %v", closed, err)
	}
	for _, p := range of["user-3"] {
		p.closedWith(4001)
	}
	s.sent(User("user-3"), "x", 0)
	if _, err := s.Publish(t.Context(), User(""), Message{}); err == nil {
		t.Error("a user without a name")
	}
	if _, err := s.Publish(t.Context(), User(strings.Repeat("x", MaxUser+1)), Message{}); err == nil {
		t.Error("a name that is too long")
	}
	for user, list := range of {
		if user != "user-3" {
			for _, p := range list {
				p.Close()
			}
		}
	}
	s.until("nobody is left", func(st Stats) bool { return st.Users == 0 })
	s.each(func(l *loop) {
		if len(l.grants.number) != 0 {
			t.Errorf("%d grants are kept", len(l.grants.number))
		}
	})
}

// TestMaxPerUser: one more is refused, or takes the place of the oldest.
func TestMaxPerUser(t *testing.T) {
	s, _ := knowing(t, Config{Loops: 3, MaxPerUser: 2})
	a, _ := s.dialAs("ada"), s.dialAs("ada")
	p := s.connect()
	p.write(request("/ws", bearer("ada")))
	p.turnedAway(429, "too many connections of this user")
	s.dialAs("bob").alive()
	s.dialAs("ada;limit=3").alive()
	a.leave()
	p = s.connect()
	p.write(request("/ws", bearer("ada;limit=1")))
	p.turnedAway(429, "too many connections of this user")

	s, _ = knowing(t, Config{Loops: 3, MaxPerUser: 2, MaxPerUserPolicy: CloseOldest})
	peers := []*peer{s.dialAs("ada"), s.dialAs("ada")}
	for range 10 {
		peers = append(peers, s.dialAs("ada"))
		peers[0].closedWith(1008)
		peers = peers[1:]
		for _, p := range peers {
			p.alive()
		}
	}
	s.closed(ReasonUserLimit, 10)
}

// TestRevocation: those who came by a revoked token are closed, and no more come by it,
// nor does a request; a newer token is as good as ever.
func TestRevocation(t *testing.T) {
	s, clock := knowing(t, Config{Loops: 2, TokenFrom: []string{TokenHeader, TokenMessage}})
	old, younger, byID, other := s.dialAs("ada;iat=-10"), s.dialAs("ada;iat=10"), s.dialAs("ada;iat=20;id=t1"), s.dialAs("bob;id=t2")
	now := time.Unix(clock.Load(), 0)
	for r, want := range map[Revocation]int{{User: "ada", IssuedBefore: now}: 1, {Token: "t1"}: 1, {Token: "none"}: 0, {User: "nobody", IssuedBefore: now}: 0} {
		if n, err := s.Revoke(t.Context(), r); err != nil || n != want {
			t.Errorf("%+v closed %d, %v; want %d", r, n, err, want)
		}
	}
	old.closedWith(3000)
	byID.closedWith(3000)
	younger.alive()
	other.alive()
	for _, token := range []string{"ada;iat=-1", "ada", "slow:ada;iat=-1", "eve;id=t1"} {
		p := s.connect()
		p.write(request("/ws", bearer(token)))
		p.turnedAway(401, "token revoked")
		younger.ask(`{"actioncode":"who","token":"`+token+`"}`, answer(6, "token invalid", "null", "who", ""))
		younger.ask(`{"actioncode":"who_pooled","token":"`+token+`"}`, answer(6, "token invalid", "null", "who_pooled", ""))
		younger.ask(`{"actioncode":"auth","token":"`+token+`"}`, answer(6, "token invalid", "null", "auth", ""))
	}
	younger.ask(`{"actioncode":"who","token":"ada;iat=5"}`, good(`"ada"`, "who"))
	s.dialAs("ada;iat=1").alive()
	if got := s.Revocations(); len(got) != 4 || got[0].User != "ada" || got[2].Token != "none" {
		t.Errorf("%+v", got)
	}
	if !s.Unrevoke("", "t1") || s.Unrevoke("", "t1") || !s.Unrevoke("ada", "") {
		t.Error("Unrevoke")
	}
	s.dialAs("eve;id=t1").alive()
	for _, bad := range []Revocation{{}, {User: "a"}, {User: "a", Token: "b"}, {Token: "b", IssuedBefore: now}, {User: strings.Repeat("a", MaxUser+1), IssuedBefore: now}} {
		if _, err := s.Revoke(t.Context(), bad); !errors.Is(err, ErrRevocation) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	_, _ = s.Revoke(t.Context(), Revocation{Token: "t9", Until: time.Now().Add(-time.Second)})
	if got := s.Revocations(); len(got) != 2 {
		t.Errorf("one whose end has come is there: %+v", got)
	}
}

// TestRevokedAllocates: the look of RevokeAll at each client allocates nothing, however
// long the user's name.
func TestRevokedAllocates(t *testing.T) {
	var v revocations
	user, now := strings.Repeat("a", MaxUser), time.Now()
	if err := errors.Join(v.add(Revocation{User: user, IssuedBefore: now}, now), v.add(Revocation{Token: "t1"}, now)); err != nil {
		t.Fatal(err)
	}
	id, name := &ident{token: tokenHash("t2"), issued: 1}, []byte(user)
	if n := testing.AllocsPerRun(100, func() {
		if !v.coversKnown(id, name) {
			t.Fatal("it is not found")
		}
	}); n != 0 {
		t.Errorf("%v allocations a client", n)
	}
	if v.coversKnown(id, nil) || v.coversKnown(&ident{token: tokenHash("t2"), issued: seconds(now) + 1}, name) || !v.coversKnown(&ident{token: tokenHash("t1")}, nil) {
		t.Error("others are taken for revoked, or one that is for none")
	}
}

// TestRevokeAll: many revocations at a time close whom each of them would, and end at
// the first that is none.
func TestRevokeAll(t *testing.T) {
	s, clock := knowing(t, Config{Loops: 2, TokenFrom: []string{TokenHeader, TokenMessage}})
	old, younger, byID, other := s.dialAs("ada;iat=-10"), s.dialAs("ada;iat=10"), s.dialAs("eve;id=t1"), s.dialAs("bob;id=t2")
	now := time.Unix(clock.Load(), 0)
	list := []Revocation{{User: "ada", IssuedBefore: now}, {Token: "t1"}, {Token: "none"}, {}, {Token: "t2"}}
	if n, err := s.RevokeAll(t.Context(), list); n != 2 || !errors.Is(err, ErrRevocation) {
		t.Errorf("closed %d, %v", n, err)
	}
	old.closedWith(3000)
	byID.closedWith(3000)
	younger.alive()
	other.alive()
	if got := s.Revocations(); len(got) != 3 {
		t.Errorf("%+v", got)
	}
	if n, err := s.RevokeAll(t.Context(), list[4:]); n != 1 || err != nil {
		t.Errorf("closed %d, %v", n, err)
	}
	other.closedWith(3000)
}

// TestRevocationDuringHandshake: whoever is being looked at when a revocation comes is
// found by the one or by the other.
func TestRevocationDuringHandshake(t *testing.T) {
	m, entered, release, _ := stuckMux()
	s := start(t, Config{Mux: m, Loops: 1, Auth: AuthOptional, TokenFrom: []string{TokenHeader}})
	p := s.connect()
	p.write(request("/ws", bearer("bob")))
	<-entered
	if n, err := s.Revoke(t.Context(), Revocation{User: "bob", IssuedBefore: time.Now()}); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	close(release)
	p.turnedAway(401, "token revoked")
}

// TestIdentityHandover: user, expiry, grants, revocations and the proof that is still
// to come go along, and so does a newcomer whose token is being looked at.
func TestIdentityHandover(t *testing.T) {
	cfg := Config{Mux: knowingMux(time.Now), Auth: AuthRequired, Actions: []string{"none"}}
	s := start(t, cfg)
	ada := s.dialAs("ada;id=t1;iat=-5;exp=1000;subscribe=x.*;actions=who,subscribe;topics=t")
	warned := s.connect()
	warned.write(request("/ws?token_expires=warn", bearer("bob;exp=1000")))
	warned.response()
	nobody, unproven, closing := s.dialAs(";iat=-5"), s.dial(), s.dial()
	s.each(func(l *loop) {
		for slot := range l.clients.size() {
			if c := l.clients.at(slot); c.is(flagUnproven) && c.remote() == netip.MustParseAddrPort(closing.LocalAddr().String()) {
				l.close(slot, c, ReasonAdmin, 4001, "")
			}
		}
	})
	until := time.Now().Add(time.Hour).Truncate(time.Second).UTC()
	if _, err := s.Revoke(t.Context(), Revocation{Token: "gone", Until: until}); err != nil {
		t.Fatal(err)
	}
	ada.send(`{"actioncode":"whoami"}`)
	was := ada.recv()
	young, _ := s.pass(cfg)
	ada.ask(`{"actioncode":"whoami"}`, was)
	ada.ask(`{"actioncode":"subscribe","data":{"topics":["x.2"]}}`, good(`["t","x.2"]`, "subscribe"))
	ada.ask(`{"actioncode":"echo"}`, answer(9, "permission denied", "null", "echo", ""))
	ada.ask(`{"actioncode":"auth","token":"eve"}`, answer(9, "the token is another user's", "null", "auth", ""))
	unproven.ask(beat, answer(8, "token empty", "null", "heart_beat", ""))
	nobody.alive()
	young.sent(User("ada"), "x", 1)
	ada.expect("x")
	if got := young.Revocations(); len(got) != 1 || got[0].Token != "gone" || !got[0].Until.Equal(until) {
		t.Errorf("%+v", got)
	}
	flags := 0
	young.each(func(l *loop) {
		for slot := range l.clients.size() {
			if c := l.clients.at(slot); c.is(flagKnown) && l.idents.at(slot).grants&identWarn != 0 {
				flags++
			}
		}
	})
	if flags != 1 {
		t.Errorf("%d are to be warned", flags)
	}
	closing.closedWith(4001)
	if n, err := young.Revoke(t.Context(), Revocation{Token: "t1"}); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	ada.closedWith(3000)
	if st := young.Stats(); st.Users != 1 || st.Auth["ok"] != 3 {
		t.Errorf("%d users, %v", st.Users, st.Auth)
	}
}

// TestNewcomerHandover: a handshake whose token is with a worker is done by the new
// process.
func TestNewcomerHandover(t *testing.T) {
	m, entered, release, _ := stuckMux()
	cfg := Config{Mux: m, Auth: AuthRequired, TokenFrom: []string{TokenHeader}}
	s := start(t, cfg)
	p := s.connect()
	p.write(request("/ws", bearer("bob")) + text(beat))
	<-entered
	time.AfterFunc(100*time.Millisecond, func() { close(release) })
	young, _ := s.pass(Config{Mux: slowMux(), Auth: AuthRequired, TokenFrom: []string{TokenHeader}})
	if r := p.response(); r.StatusCode != 101 {
		t.Fatal(r.Status)
	}
	p.expect(beating)
	young.sent(User("bob"), "x", 1)
}

// TestGrantsForm: what is written down of grants is read as it was, and nothing else is.
func FuzzGrants(f *testing.F) {
	f.Add((&grants{Subscribe: []string{"a", "b"}, Actions: []string{"c"}, Fanout: true}).append(nil))
	f.Add([]byte{0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		g, ok := readGrants(b)
		if !ok {
			return
		}
		again, ok := readGrants(g.append(nil))
		if !ok || fmt.Sprint(*again) != fmt.Sprint(*g) {
			t.Errorf("%+v became %+v", g, again)
		}
	})
}

// FuzzRevocations: likewise.
func FuzzRevocations(f *testing.F) {
	v := new(revocations)
	_ = v.add(Revocation{User: "a", IssuedBefore: time.Unix(5, 0)}, time.Now())
	_ = v.add(Revocation{Token: "b", Until: time.Unix(1<<40, 0)}, time.Now())
	f.Add(v.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		v, again := new(revocations), new(revocations)
		if v.read(b) != nil {
			return
		}
		if err := again.read(v.append(nil)); err != nil || fmt.Sprint(again.list(time.Unix(0, 0))) != fmt.Sprint(v.list(time.Unix(0, 0))) {
			t.Errorf("%v became %v: %v", v.list(time.Unix(0, 0)), again.list(time.Unix(0, 0)), err)
		}
	})
}

// TestUserIndex holds the index to a map, over many users of several loops.
func TestUserIndex(t *testing.T) {
	u, random := newUsers(), rand.New(rand.NewPCG(3, 4))
	type at struct {
		loop int
		slot uint32
	}
	has := map[string][]at{} // newest first
	chain := map[at]uint32{} // who comes behind, plus one
	slot := uint32(0)
	for range 200_000 {
		user := fmt.Sprint(random.IntN(5000))
		list := has[user]
		if len(list) > 0 && random.IntN(2) == 0 {
			i := random.IntN(len(list))
			gone := list[i]
			for _, a := range list { // the chain is closed behind who leaves
				if a.loop == gone.loop && chain[a] == gone.slot+1 {
					chain[a] = chain[gone]
				}
			}
			u.leave(u.hash(user), gone.loop, gone.slot, chain[gone])
			delete(chain, gone)
			has[user] = append(list[:i:i], list[i+1:]...)
			continue
		}
		a := at{random.IntN(4), slot}
		slot++
		before, total, ok := u.enter(u.hash(user), a.loop, a.slot, 9)
		if ok != (len(list) < 9) || ok && total != len(list)+1 {
			t.Fatalf("%v, %d, of %d", ok, total, len(list))
		}
		if ok {
			chain[a] = before
			has[user] = append([]at{a}, list...)
		}
	}
	known := int64(0)
	for user, list := range has {
		var set, want loopSet
		if n := u.addTo(&set, u.hash(user)); n != len(list) {
			t.Fatalf("%s has %d, want %d", user, n, len(list))
		}
		for i := len(list) - 1; i >= 0; i-- {
			want.add(list[i].loop)
		}
		for loop := range 4 {
			first := uint32(0)
			for _, a := range list {
				if a.loop == loop {
					first = a.slot + 1
					break
				}
			}
			if got := u.first(u.hash(user), loop); got != first {
				t.Fatalf("%s: the first of loop %d is %d, want %d", user, loop, got, first)
			}
		}
		if set != want {
			t.Fatal("the loops are others")
		}
		if len(list) > 0 {
			known++
		}
	}
	if n := u.known.Load(); n != known {
		t.Errorf("%d users, want %d", n, known)
	}
}

// TestNames: names come back as they were, and the places of those that went are used
// again.
func TestNames(t *testing.T) {
	var n names
	random := rand.New(rand.NewPCG(5, 6))
	kept := map[uint32]string{}
	for range 100_000 {
		if random.IntN(2) == 0 && len(kept) > 2000 {
			for number := range kept {
				n.drop(number)
				delete(kept, number)
				break
			}
			continue
		}
		name := strings.Repeat(string(rune('a'+random.IntN(26))), 1+random.IntN(MaxUser))
		kept[n.add(name)] = name
	}
	for number, name := range kept {
		if got := string(n.of(number)); got != name || number == 0 {
			t.Fatalf("%q is %q", name, got)
		}
	}
	chunks := len(n.chunks)
	for number := range kept {
		n.drop(number)
	}
	for _, name := range kept {
		n.add(name)
	}
	if len(n.chunks) != chunks {
		t.Errorf("%d chunks became %d", chunks, len(n.chunks))
	}
}

// TestUserMemory: a user with a name of 36 bytes and one client takes 100 bytes at most
// beside the client; somebody anonymous takes none.
func TestUserMemory(t *testing.T) {
	s := newSite(t, Config{Loops: 1, Listen: []string{"none"}})
	defer s.stop()
	l := s.loops[0]
	const n = 200 * chunkSize
	for range n {
		l.clients.alloc()
	}
	measure := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := measure()
	for slot := range uint32(n) {
		if _, err := l.enroll(slot, l.clients.at(slot), &Identity{Subject: uuid.NewString(), Expires: time.Unix(2_000_000_000, 0)}); err != nil {
			t.Fatal(err)
		}
	}
	each := float64(measure()-before) / n
	t.Logf("%.1f bytes a user", each)
	if each > 100 {
		t.Errorf("%.1f bytes a user", each)
	}
	for slot := range uint32(n) {
		l.disown(slot, l.clients.at(slot))
	}
	if s.users.known.Load() != 0 {
		t.Error("users are left")
	}
}

// BenchmarkEnroll is what a connect with a token that is remembered takes more.
func BenchmarkEnroll(b *testing.B) {
	s := newSite(b, Config{Loops: 1, Listen: []string{"none"}})
	defer s.stop()
	l := s.loops[0]
	slot, c := l.clients.alloc()
	who := &Identity{Subject: uuid.NewString(), TokenID: "t", Issued: time.Now(), Expires: time.Unix(2_000_000_000, 0)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.enroll(slot, c, who); err != nil {
			b.Fatal(err)
		}
		l.disown(slot, c)
	}
}
