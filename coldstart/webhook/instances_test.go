package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
)

// A scene is a platform that answers what the test has it say, and what weir
// makes of it.
type scene struct {
	*Platform

	mu     sync.Mutex
	list   string // what it answers to list, and to the others
	set    []string
	story  []string
	listed int
}

func playing(t *testing.T, test func(t *testing.T, s *scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &scene{list: `{"instances":[]}`}
		s.Platform = made(t, func(r *http.Request, body []byte) (*http.Response, error) {
			var w wish
			if err := json.Unmarshal(body, &w); err != nil {
				t.Error(err)
			}
			switch list := s.asked(w); list {
			case "away":
				return nil, errors.New("connection refused")
			case "hangs":
				return hangs(r, body)
			default:
				return says(200, list), nil
			}
		})
		s.Failed(func(_ string, _ time.Time, err error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.story = append(s.story, err.Error())
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- s.Watch(ctx, &someFunction, s.report) }()
		synctest.Wait()
		test(t, s)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func (s *scene) asked(w wish) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.Action == "list" {
		s.listed++
	}
	return s.list
}

func (s *scene) report(set []discovery.Endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set = nil
	for _, ep := range set {
		state := ""
		if !ep.Unproven {
			state = " proven"
		}
		s.set = append(s.set, ep.ID+state)
	}
}

func (s *scene) lists(answer string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = answer
}

func (s *scene) wants(t *testing.T, set ...string) {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.set, set) {
		t.Errorf("the set is %q, want %q", s.set, set)
	}
}

func (s *scene) wasTold(t *testing.T, story ...string) {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.story, story) {
		t.Errorf("told is %q, want %q", s.story, story)
	}
	s.story = nil
}

const oneAt1 = `{"instances":[{"id":"a","address":"10.0.0.1:80"}]}`

// A bad entry costs itself; what is there twice is there once.
func TestAnswersEntryByEntry(t *testing.T) {
	for _, c := range []struct {
		entries string
		want    []string
	}{
		{`{"id":"a","address":"10.0.0.1:80"},{"id":"b","address":"10.0.0.1:80"}`, []string{"a@10.0.0.1:80"}},
		{`{"id":"a","address":"10.0.0.1:80"},{"id":"a","address":"10.0.0.2:80"}`, []string{"a@10.0.0.1:80"}},
		{`{"address":"10.0.0.1:80"},{"address":"http://10.0.0.2:80"}`, []string{"10.0.0.1:80", "10.0.0.2:80"}},
		{`{"id":"a","address":"web.internal:80"},{"id":"b","address":"[::1]:80"}`, []string{"b@[::1]:80"}},
		{`{"id":"a","address":"0.0.0.0:80"},{"id":"b","address":"10.0.0.1:0"},{"id":"c"},{},{"address":"10.0.0.1:99999"}`, nil},
		{`{"id":"a\u0000b\n","address":"10.0.0.1:80"}`, []string{"ab@10.0.0.1:80"}},
	} {
		playing(t, func(t *testing.T, s *scene) {
			s.lists(`{"instances":[` + c.entries + `]}`)
			_, _ = s.Replicas(t.Context(), someFunction)
			s.wants(t, c.want...)
		})
	}
}

// An instance that the platform loses without a word is missed when it is next
// asked, and told.
func TestInstanceLostSilently(t *testing.T) {
	playing(t, func(t *testing.T, s *scene) {
		s.lists(oneAt1)
		if err := s.ScaleUp(t.Context(), someFunction, 1); err != nil {
			t.Fatal(err)
		}
		s.wants(t, "a@10.0.0.1:80")
		s.lists(`{"instances":[]}`)
		time.Sleep(11 * time.Second)
		s.wants(t)
		s.wasTold(t, `instance a of "f" has gone without being asked to`)
		s.gone("f", told{ID: "a", Failed: "out of memory"}) // which says why, and is the same end
		s.wasTold(t)
	})
}

// A platform that is away takes no endpoint, and neither does one that talks
// nonsense.
func TestSilenceIsNotAnEmptySet(t *testing.T) {
	playing(t, func(t *testing.T, s *scene) {
		s.lists(oneAt1)
		_ = s.ScaleUp(t.Context(), someFunction, 1)
		for _, nonsense := range []string{"away", "<html>", `{}`, `{"instances":null}`} {
			s.lists(nonsense)
			time.Sleep(time.Minute)
			s.wants(t, "a@10.0.0.1:80")
		}
		s.wasTold(t)
	})
}

// The answer came too late, or got lost; the instance is found all the same.
func TestAnswerAfterTheDeadline(t *testing.T) {
	playing(t, func(t *testing.T, s *scene) {
		s.lists("hangs")
		if err := s.ScaleUp(t.Context(), someFunction, 1); err == nil {
			t.Error("no error")
		}
		s.lists(oneAt1)
		time.Sleep(7 * time.Second) // a look may have begun before, and hang until its own deadline
		s.wants(t, "a@10.0.0.1:80")
		s.wasTold(t)
	})
}

// While nothing is there and nothing is expected, nobody is asked.
func TestColdFunctionsCostNoRequests(t *testing.T) {
	playing(t, func(t *testing.T, s *scene) {
		time.Sleep(time.Hour)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.listed != 1 {
			t.Errorf("asked %d times in an hour, want once at the start", s.listed)
		}
	})
}

func TestStartThatFails(t *testing.T) {
	playing(t, func(t *testing.T, s *scene) {
		s.lists(`{}`)
		_ = s.ScaleUp(t.Context(), someFunction, 1)
		s.lists(`{"instances":[{"id":"a","failed":"exited with status 1: no database"}]}`)
		time.Sleep(10 * time.Second) // it is repeated many times
		s.wasTold(t, `instance a of "f": exited with status 1: no database`)
	})
}

func TestLimitIsNoFailure(t *testing.T) {
	playing(t, func(t *testing.T, s *scene) {
		s.lists(`{"instances":[{"id":"a","address":"10.0.0.1:80"},{"id":"b","address":"10.0.0.2:80"}]}`)
		_ = s.ScaleUp(t.Context(), someFunction, 2)
		s.lists(oneAt1)
		if err := s.ScaleDown(t.Context(), someFunction, 1); err != nil {
			t.Error(err)
		}
		s.wants(t, "a@10.0.0.1:80")
		s.lists(``) // an empty answer: it has taken note
		if err := s.ScaleDown(t.Context(), someFunction, 0); err != nil {
			t.Error(err)
		}
		s.wants(t)
		s.wasTold(t)
	})
}

// announced posts as an instance would, against a real listener.
func TestAnnouncements(t *testing.T) {
	p := made(t, func(*http.Request, []byte) (*http.Response, error) { return says(204, ""), nil })
	var story []string
	p.Failed(func(_ string, _ time.Time, err error) {
		story = append(story, fmt.Sprintf("%v, terminal %v", err, coldstart.IsTerminal(err)))
	})
	here, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	good := tokenOf([]byte(secret), "f")
	ready := func(id string, l net.Listener) string {
		return fmt.Sprintf(`{"id":%q,"address":%q}`, id, l.Addr())
	}
	for _, c := range []struct {
		kind, token, body string
		status            int
		set               string
	}{
		{"ready", "", ready("a", here), 401, ""},
		{"ready", secret, ready("a", here), 401, ""},
		{"ready", tokenOf([]byte(secret), "g"), ready("a", here), 401, ""},
		{"gone", "wrong", `{"id":"a"}`, 401, ""},
		{"ready", good, "", 400, ""},
		{"ready", good, "[1]", 400, ""},
		{"ready", good, `{"id":"a","address":"localhost:1"}`, 400, ""},
		{"ready", good, ready("a", closed), 409, ""}, // it lies
		{"ready", good, ready("a", here), 0, "a"},
		{"ready", good, ready("a", here), 0, "a"},
		{"ready", good, ready("b", here), 409, "a"}, // the address is a's
		{"gone", good, `{"id":"b"}`, 0, "a"},
		{"gone", good, `{"id":"a","failed":"exited with status 3"}`, 0, ""},
		{"gone", good, `{"id":"a","failed":"exited with status 3"}`, 0, ""},
		{"gone", good, `{"failed":"no such image","terminal":true}`, 0, ""},
	} {
		err := p.Announce(t.Context(), "f", c.kind, c.token, []byte(c.body))
		status := 0
		var no *Refusal
		if errors.As(err, &no) {
			status = no.Status
		} else if err != nil {
			t.Error(err)
		}
		var ids []string
		for _, in := range p.function("f").known {
			ids = append(ids, in.id)
			if !in.proven {
				t.Errorf("%s is unproven", in.id)
			}
		}
		if status != c.status || strings.Join(ids, " ") != c.set {
			t.Errorf("%s %s: status %d (%v) and set %q, want %d and %q", c.kind, c.body, status, err, ids, c.status, c.set)
		}
	}
	want := []string{`instance a of "f": exited with status 3, terminal false`, `no instance of "f" could be started: no such image, terminal true`}
	if !slices.Equal(story, want) {
		t.Errorf("told is %q, want %q", story, want)
	}
	p.change(func(s *config.Scaler) { s.TokenFile = "" })
	if err := p.Announce(t.Context(), "f", "ready", "", []byte(ready("a", here))); err == nil {
		t.Error("without a secret anybody may announce")
	}
}

// The platform's list may be older than the announcement.
func TestAnnouncedBeforeItIsListed(t *testing.T) {
	playing(t, func(t *testing.T, s *scene) {
		_ = s.ScaleUp(t.Context(), someFunction, 1)
		if _, err := s.ready("f", instance{id: "a", addr: "10.0.0.1:80"}); err != nil {
			t.Fatal(err)
		}
		s.wants(t, "a@10.0.0.1:80")
		_, _ = s.Replicas(t.Context(), someFunction)
		s.wants(t, "a@10.0.0.1:80")
		s.lists(oneAt1)
		_, _ = s.Replicas(t.Context(), someFunction)
		s.wants(t, "a@10.0.0.1:80")
		s.lists(`{"instances":[]}`)
		time.Sleep(20 * time.Second)
		s.wants(t)
	})
	playing(t, func(t *testing.T, s *scene) { // and it may never be listed
		_, _ = s.ready("f", instance{id: "a", addr: "10.0.0.1:80"})
		_, _ = s.Replicas(t.Context(), someFunction)
		s.wants(t, "a@10.0.0.1:80")
		time.Sleep(unlisted + time.Minute)
		_, _ = s.Replicas(t.Context(), someFunction)
		s.wants(t)
	})
	playing(t, func(t *testing.T, s *scene) { // but what was to be stopped is gone
		for i := range 3 {
			if _, err := s.ready("f", instance{id: fmt.Sprint(i), addr: fmt.Sprintf("10.0.0.%d:80", i+1)}); err != nil {
				t.Fatal(err)
			}
		}
		s.lists(`{"instances":[]}`) // it does not know them yet
		all := []string{"0@10.0.0.1:80", "1@10.0.0.2:80"}
		for n := 2; n >= 0; n-- {
			_ = s.ScaleDown(t.Context(), someFunction, n)
			s.wants(t, all[:n]...)
		}
	})
}

// Whatever the platform answers, the set makes sense.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(oneAt1))
	f.Add([]byte(`{"instances":[{"id":"a","address":"10.0.0.1:80"},{"failed":"x"},{"id":"a","address":"[::1]:1","terminal":true}]}`))
	f.Add([]byte(`{"instances":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		p := made(t, func(*http.Request, []byte) (*http.Response, error) { return says(200, string(body)), nil })
		var fn config.Function = someFunction
		_ = p.ScaleUp(t.Context(), fn, 2)
		_, _ = p.Replicas(t.Context(), fn)
		ids, addrs := map[string]bool{}, map[string]bool{}
		for _, in := range p.function("f").known {
			if ids[in.id] || addrs[in.addr] || in.id == "" {
				t.Errorf("%q makes %+v", body, p.function("f").known)
			}
			if _, _, err := net.SplitHostPort(in.addr); err != nil {
				t.Error(err)
			}
			ids[in.id], addrs[in.addr] = true, true
		}
	})
}

// What was asked before is asked again with its key, so that a platform which knows
// it need not even look; its answer may be the old one, and is no news. Anything
// else has a key of its own.
func TestAskingAgainHasTheSameKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var keys []string
		answer := `{"instances":[]}`
		p := made(t, func(r *http.Request, body []byte) (*http.Response, error) {
			if !strings.Contains(string(body), `"list"`) {
				keys = append(keys, r.Header.Get("Idempotency-Key"))
			}
			return says(200, answer), nil
		})
		p.Failed(func(_ string, _ time.Time, err error) { t.Errorf("told: %v", err) })
		up := func(ctx context.Context, fn config.Function, n int) {
			t.Helper()
			if err := p.ScaleUp(ctx, fn, n); err != nil {
				t.Error(err)
			}
		}
		again := coldstart.WithRepeated(t.Context())
		up(t.Context(), someFunction, 1)
		wanted := p.function("f").wanted
		answer = oneAt1
		if _, err := p.Replicas(t.Context(), someFunction); err != nil {
			t.Error(err)
		}
		answer = `{"instances":[]}` // as it was said to this key
		time.Sleep(time.Second)
		up(again, someFunction, 1)
		if len(p.function("f").known) != 1 {
			t.Error("an old answer took the instance away")
		}
		if p.function("f").wanted != wanted {
			t.Error("it counts as another wish")
		}
		answer = oneAt1
		up(again, someFunction, 2) // another number
		changed := someFunction
		changed.Webhook = map[string]string{"image": "f:2"}
		up(again, changed, 2)
		up(again, changed, 2)
		up(t.Context(), changed, 2) // another wish
		same := []int{}
		for _, k := range keys {
			same = append(same, slices.Index(keys, k))
		}
		if want := []int{0, 0, 2, 3, 3, 5}; !slices.Equal(same, want) {
			t.Errorf("keys are those of %v, want %v", same, want)
		}
	})
}
