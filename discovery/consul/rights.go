package consul

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/hashicorp/consul/api"
)

// errDenied wraps which thing a token may not read.
var errDenied = errors.New("the token may not read")

// A thing is what a token may read or not, as Consul's access rules name it.
type thing struct {
	Resource string // service, node, key
	Segment  string // its name
	Access   string
}

func readable(resource, name string) thing { return thing{resource, name, "read"} }

// mayRead returns errDenied if a token may not read one of these things. An
// answer in which nobody is may be one from which all were left out, and an older
// Consul (1.8.7) does not say so. What is asked is what Consul's own interface
// asks for its pages (2026-11-26); an agent that does not know the question, or
// has no access rules, is taken at its word.
func (r *Registry) mayRead(ctx context.Context, token, datacenter string, things ...thing) error {
	if token == "" {
		token = r.agent.Token
	}
	asked, err := json.Marshal(things)
	if err != nil {
		panic("BUG: things that are not JSON: " + err.Error())
	}
	where := url.URL{Scheme: r.agent.Scheme, Host: r.agent.Address, Path: "/v1/internal/acl/authorize"}
	if datacenter != "" {
		where.RawQuery = url.Values{"dc": {datacenter}}.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, where.String(), bytes.NewReader(asked))
	if err != nil {
		return err
	}
	req.Header.Set("X-Consul-Token", token)
	if auth := r.agent.HttpAuth; auth != nil {
		req.SetBasicAuth(auth.Username, auth.Password)
	}
	res, err := r.agent.HttpClient.Do(req)
	if err != nil {
		return fmt.Errorf("cannot ask for the rights of the token: %w", err)
	}
	defer res.Body.Close()
	said, err := io.ReadAll(io.LimitReader(res.Body, longestVerdict))
	switch {
	case err != nil:
		return fmt.Errorf("cannot ask for the rights of the token: %w", err)
	case res.StatusCode == http.StatusForbidden:
		return api.StatusError{Code: res.StatusCode, Body: string(said)}
	case res.StatusCode != http.StatusOK:
		return nil
	}
	var verdicts []struct {
		thing
		Allow bool
	}
	if json.Unmarshal(said, &verdicts) != nil {
		return nil
	}
	for _, v := range verdicts {
		if !v.Allow {
			return denied(v.thing)
		}
	}
	return nil
}

// longestVerdict is of some ten thousand things.
const longestVerdict = 1 << 20

func denied(t thing) error {
	return fmt.Errorf("%w %s %q; give it %s:read", errDenied, t.Resource, t.Segment, t.Resource)
}
