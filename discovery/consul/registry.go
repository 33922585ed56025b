package consul

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
)

// A Registry is an agent of Consul, and what is asked of it. It asks while
// somebody watches. Its methods may be called from any goroutine.
type Registry struct {
	cfg    config.Consul
	agent  *api.Config // as the client has it
	client *api.Client
	wire   *http.Transport
	turns  *turns
	log    *slog.Logger
	dcs    []*datacenter

	mu      sync.Mutex // guards queries
	queries map[key]*query
}

// A key is what one query is about.
type key struct {
	dc      *datacenter
	service string
}

// New makes the Registry for a configuration and the region that instances are
// in if nothing else is said. It fails if what the environment says of Consul
// (CONSUL_CACERT and the like) is of no use; it does not connect.
func New(cfg config.Consul, region string, log *slog.Logger) (*Registry, error) {
	settings := api.DefaultConfig() // with all that the environment says
	settings.Address = cfg.Address
	wire := transport(cfg)
	client, err := newClient(settings, wire, cfg.TLS)
	if err != nil {
		return nil, fmt.Errorf("cannot use consul at %q: %w", cfg.Address, err)
	}
	r := &Registry{
		cfg: cfg, agent: settings, client: client, wire: wire, log: log.With("provider", "consul"), queries: map[key]*query{},
		turns: newTurns(cfg.MaxConnections),
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Datacenters)) {
		r.dcs = append(r.dcs, newDatacenter(r, name, cfg.Datacenters[name]))
	}
	if len(r.dcs) == 0 {
		r.dcs = []*datacenter{newDatacenter(r, region, "")}
	}
	return r, nil
}

// transport keeps to max_connections, and keeps as many: a service that flaps
// must not cost a handshake each time.
func transport(cfg config.Consul) *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer(cfg.Address),
		TLSHandshakeTimeout:   connectWithin,
		MaxConnsPerHost:       cfg.MaxConnections,
		MaxIdleConnsPerHost:   cfg.MaxConnections,
		IdleConnTimeout:       90 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}

// connectWithin is how long a connection may take to stand.
const connectWithin = 5 * time.Second

func dialer(address string) func(ctx context.Context, network, to string) (net.Conn, error) {
	d := &net.Dialer{Timeout: connectWithin, KeepAlive: 15 * time.Second}
	file, ok := strings.CutPrefix(address, "unix://")
	if !ok {
		return d.DialContext
	}
	return func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, "unix", file) }
}

// newClient makes a client that uses the transport it is given, over a socket
// of the file system too: there the library takes one of its own, without
// bounds. settings become what the client goes by.
func newClient(settings *api.Config, wire *http.Transport, secure *config.UpstreamTLS) (client *api.Client, err error) {
	if strings.HasPrefix(settings.Address, "unix://") {
		settings.Address = "localhost" // says nothing: dialer knows where
	}
	if secure != nil {
		overEnvironment(&settings.TLSConfig, secure)
	}
	if settings.HttpClient, err = api.NewHttpClient(wire, settings.TLSConfig); err != nil {
		return nil, err
	}
	if secure != nil && secure.MinVersion == "1.3" {
		wire.TLSClientConfig.MinVersion = tls.VersionTLS13
	}
	return api.NewClient(settings)
}

// overEnvironment has what the configuration says go before what the environment
// does.
func overEnvironment(t *api.TLSConfig, said *config.UpstreamTLS) {
	if said.ServerName != "" {
		t.Address = said.ServerName
	}
	if said.CA != "" {
		t.CAFile, t.CAPath, t.CAPem = "", "", []byte(said.CA)
	}
	if said.Cert != "" {
		t.CertFile, t.KeyFile, t.CertPEM, t.KeyPEM = "", "", []byte(said.Cert), []byte(said.Key)
	}
	t.InsecureSkipVerify = t.InsecureSkipVerify || said.InsecureSkipVerify
}

// token is the one to send with a query; "" leaves it to the environment.
func (r *Registry) token() (string, error) {
	if r.cfg.TokenFile == "" {
		return "", nil
	}
	raw, err := os.ReadFile(r.cfg.TokenFile)
	if err != nil {
		return "", fmt.Errorf("cannot read token_file: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}

// Providers are one for each datacenter, so that each can fail, and be
// remembered, by itself.
func (r *Registry) Providers() (providers []discovery.Provider) {
	for _, dc := range r.dcs {
		providers = append(providers, dc)
	}
	return providers
}

// join adds a subscriber to the query about a service, and begins to ask if it
// is the first.
func (r *Registry) join(k key, s *subscriber) *query {
	r.mu.Lock()
	defer r.mu.Unlock()
	q := r.queries[k]
	if q == nil {
		ctx, cancel := context.WithCancel(context.Background()) // ends when the last one leaves
		q = newQuery(r, k, cancel)
		r.queries[k] = q
		go func() {
			defer close(q.over)
			q.run(ctx)
		}()
	}
	q.add(s)
	return q
}

// leave takes a subscriber out, to whom nothing is told from then on. The last
// one waits until the query has ended.
func (r *Registry) leave(q *query, s *subscriber) {
	r.mu.Lock()
	last := q.remove(s)
	if last {
		delete(r.queries, q.key)
	}
	r.mu.Unlock()
	if last {
		q.cancel()
		<-q.over
	}
}

// Refused are the instances, or what they say of themselves, that weir does
// without, by the last answers.
func (r *Registry) Refused() (all []discovery.Refusal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range r.queries {
		q.mu.Lock()
		all = append(all, q.refused...)
		q.mu.Unlock()
	}
	slices.SortFunc(all, func(a, b discovery.Refusal) int {
		return cmp.Or(strings.Compare(a.What, b.What), strings.Compare(a.Reason, b.Reason))
	})
	return all
}

// Close drops the connections that nobody uses.
func (r *Registry) Close() { r.wire.CloseIdleConnections() }
