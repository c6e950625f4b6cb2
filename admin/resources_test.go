package admin

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"wsd/host"
	"wsd/server"
)

func TestUsageIsNotReadTooOften(t *testing.T) {
	reads := 0
	s := &resources{read: func() host.Usage { reads++; return host.Usage{Resident: int64(reads)} }}
	first := s.now()
	if again := s.now(); again != first || reads != 1 {
		t.Errorf("%+v, then %+v: read %d times", first, again, reads)
	}
	s.until = time.Now()
	if later := s.now(); later == first {
		t.Errorf("%+v still, when that is too old", later)
	}
}

func TestShortage(t *testing.T) {
	limits := server.Limits{Descriptors: 1000, Reserve: 100}
	for _, c := range []struct {
		u    host.Usage
		want string
	}{
		{host.Usage{MemoryLimit: 3200, MemoryAvailable: 100, Descriptors: 950}, ""},
		{host.Usage{MemoryLimit: 3200, MemoryAvailable: 99}, "short of memory"},
		{host.Usage{MemoryLimit: 3200, MemoryAvailable: 0}, "short of memory"},
		{host.Usage{MemoryLimit: 3200, MemoryAvailable: 3200, Descriptors: 951}, "short of descriptors: 951 of 1000"},
		{host.Usage{MemoryLimit: -1, MemoryAvailable: -1, Descriptors: -1}, ""},
	} {
		err := shortage(c.u, limits)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.u, err)
		}
	}
}

// A server that is well, on a machine that is not, is not ready.
func TestNotReadyForWantOfMemory(t *testing.T) {
	a := newAPI(t.Context(), Config{}.withDefaults(), &fake{})
	a.resources.read = func() host.Usage { return host.Usage{MemoryLimit: 1000000 << 10, MemoryAvailable: 30000 << 10} }
	w := httptest.NewRecorder()
	a.readyz(w, httptest.NewRequest("GET", "/readyz", nil))
	if w.Code != 503 || !strings.Contains(w.Body.String(), "short of memory: 29 of 976 MiB") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestStatsHaveTheProcess(t *testing.T) {
	_, _, body := do(t, request{url: start(t, &fake{}, nil) + "/v1/stats"})
	for _, want := range []string{`"uptime_seconds":`, `"process":{"cpu_seconds":`, `"descriptors":`, `"descriptors_limit":`} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is not in %s", want, body)
		}
	}
}
