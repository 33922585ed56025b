package docker

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
)

// Instances that are there in the same moment are all told of.
func TestServedAtOnce(t *testing.T) {
	const instances = 8
	fn := config.Function{Name: "f", Docker: &config.Docker{Port: 8080}}
	p, err := New("docker", config.Scaler{Host: "unix:///nobody.sock"}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for round := range 200 {
		p.mu.Lock()
		f := p.functionLocked(fmt.Sprint("f", round))
		f.fn = &fn
		for range instances {
			f.instances = append(f.instances, newInstance(f, fn, "spec", time.Time{}))
		}
		all := f.instances
		p.mu.Unlock()
		var work sync.WaitGroup
		for _, in := range all {
			work.Go(func() { p.serve(in, "127.0.0.1:1") })
		}
		work.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		p.board.Watch(ctx, f.name, func(set []discovery.Endpoint) {
			if len(set) != instances {
				t.Errorf("round %d: told of %d instances, of %d", round, len(set), instances)
			}
			cancel()
		})
	}
}
