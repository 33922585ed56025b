package testkit

import (
	"net/http"
	"testing"
	"time"
)

// passing are the addresses of a service's passing instances.
func (c *Consul) passing(t *testing.T, service, dc string) (ids []string) {
	t.Helper()
	var entries []struct{ Service struct{ ID string } }
	c.must("GET", "/v1/health/service/"+service+"?passing=1&dc="+dc, nil, &entries)
	for _, e := range entries {
		ids = append(ids, e.Service.ID)
	}
	return ids
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(consulPatience); !cond(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", consulPatience, what)
		}
	}
}

func TestConsul(t *testing.T) {
	c := StartConsul(t, "dc1", "")
	c.Register(ConsulService{ID: "a", Name: "f", Address: "127.0.0.1", Port: 1, Checks: []ConsulCheck{{CheckID: "a", TTL: "1h"}}})
	if ids := c.passing(t, "f", ""); len(ids) != 0 {
		t.Errorf("passing before its check: %v", ids)
	}
	count := func(n int) func() bool { return func() bool { return len(c.passing(t, "f", "")) == n } }
	c.Check("a", "passing")
	eventually(t, "it passes", count(1))
	c.Maintain("a", true)
	eventually(t, "it is maintained", count(0))
	c.Maintain("a", false)
	eventually(t, "it is back", count(1))
	c.Put("weir/test", "x")
	c.Delete("weir/test")

	c.Stop()
	hasty := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 200 * time.Millisecond}
	if res, err := hasty.Get("http://" + c.Address + "/v1/status/leader"); err == nil {
		res.Body.Close()
		t.Error("a frozen agent answers")
	}
	c.Continue()
	eventually(t, "it goes on", count(1))

	c.Kill()
	c.Restart()
	if ids := c.passing(t, "f", ""); len(ids) != 0 {
		t.Errorf("it remembers %v", ids)
	}
}

func TestConsulJoins(t *testing.T) {
	east, west := StartConsul(t, "east", ""), StartConsul(t, "west", "")
	east.Join(west)
	west.Register(ConsulService{Name: "f", Address: "127.0.0.1", Port: 1})
	eventually(t, "east tells of west's", func() bool { return len(east.passing(t, "f", "west")) == 1 })
}
