package document

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/weir-gateway/weir/discovery"
)

func TestRead(t *testing.T) {
	const doc = `
made_by: deploy 17
services:
  checkout:
    - 10.0.0.2:8080
    - { address: "10.0.0.1:8080", region: us-east, zone: a, weight: 0, slots: 4 }
    - https://10.0.0.3:8443
    - unix:/run/checkout.sock
  nobody: []
`
	services, refused, err := YAML([]byte(doc))
	if err != nil || len(refused) > 0 {
		t.Fatal(err, refused)
	}
	want := []discovery.Endpoint{
		{ID: "10.0.0.1:8080", Addr: "10.0.0.1:8080", Region: "us-east", Zone: "a", Slots: 4},
		{ID: "10.0.0.2:8080", Addr: "10.0.0.2:8080", Weight: 1},
		{ID: "https://10.0.0.3:8443", Addr: "10.0.0.3:8443", Weight: 1, TLS: true, Host: "10.0.0.3"},
		{ID: "unix:/run/checkout.sock", Addr: "unix:/run/checkout.sock", Weight: 1},
	}
	if !slices.Equal(services["checkout"], want) {
		t.Errorf("checkout is\n%+v, want\n%+v", services["checkout"], want)
	}
	if set, ok := services["nobody"]; !ok || len(set) > 0 {
		t.Errorf("nobody is %v, %v: known, and served by nobody", set, ok)
	}
}

// One bad entry costs one entry.
func TestBadEntries(t *testing.T) {
	for entry, reason := range map[string]string{
		`"10.0.0.1"`:                   `its address has no port: "10.0.0.1"; write it as in 127.0.0.1:8080 or [::1]:8080`,
		`"db.internal:80"`:             `its address has a name for a host: "db.internal:80"; write the IP address`,
		`"http://10.0.0.1:80/x"`:       `its address has a path`,
		`""`:                           `it has no address`,
		`7`:                            `it must be an address or a mapping, not a number`,
		`[]`:                           `it must be an address or a mapping, not a list`,
		`{"10.0.0.1": 80}`:             `unknown field "10.0.0.1"; put quotes around an address`,
		`null`:                         `it has no address`,
		`{"addresses": "10.0.0.1:80"}`: `unknown field "addresses"`,
		`{"address": "10.0.0.1:80", "weight": -1}`:      `its weight must be from 0 to 1048576, not -1`,
		`{"address": "10.0.0.1:80", "weight": "heavy"}`: `its weight cannot be a text`,
		`{"address": "10.0.0.1:80", "weight": 1e30}`:    `its weight cannot be a number 1e30`,
		`{"address": "10.0.0.1:80", "region": "a b"}`:   `its region has an impossible name: "a b"`,
		`{"address": "10.9.9.9:80", "weight": 2}`:       `10.9.9.9:80 is there already, and not the same`,
	} {
		doc := fmt.Sprintf(`{"services": {"f": ["10.9.9.9:80", %s, "10.9.9.8:80", "10.9.9.9:80"]}}`, entry)
		services, refused, err := JSON([]byte(doc))
		if err != nil || len(services["f"]) != 2 {
			t.Errorf("%s: %v, %v", entry, services, err)
			continue
		}
		if len(refused) != 1 || refused[0].What != "service f, entry 2" || !strings.HasPrefix(refused[0].Reason, reason) {
			t.Errorf("%s: refused %q, want %q", entry, refused, reason)
		}
	}
}

// What is no document at all is an error, not an empty one.
func TestNoDocument(t *testing.T) {
	for doc, reason := range map[string]string{
		``:                                  `cannot read it: it is empty`,
		`null`:                              `cannot read it: the document must be a mapping`,
		`[]`:                                `cannot read it: the document must be a mapping`,
		`{}`:                                `it has no "services"`,
		`{"service": {}}`:                   `it has no "services"`,
		`{"services": null}`:                `cannot read it: services must be a mapping`,
		`{"services": {"f": null}}`:         `cannot read it: the endpoints of service "f" must be a list`,
		`{"services": {"f": {}}}`:           `cannot read it: the endpoints of service "f" must be a list`,
		`{"services": {"f": ["1.1.1.1:1"`:   `cannot read it: unexpected EOF`,
		`{"services": {}} {"services": {}}`: `cannot read it: something follows the document`,
		`{"services": {}, "services": {}}`:  `cannot read it: "services" is there twice`,
		`{"services": {"f": [], "f": ["1.1.1.1:1"]}}`: `cannot read it: service "f" is there twice`,
		`<html>`: `cannot read it: invalid character '<' looking for beginning of value`,
	} {
		if services, _, err := JSON([]byte(doc)); err == nil || err.Error() != reason {
			t.Errorf("%s: %v, %v; want %s", doc, services, err, reason)
		}
	}
	for _, doc := range []string{"", "\n# nothing\n", "services:\n", "services:\n  f: [10.0.0.1:80\n", "\tservices: {}", "services: {f: []}\nservices: {}"} {
		if services, _, err := YAML([]byte(doc)); err == nil {
			t.Errorf("%q: %v", doc, services)
		}
	}
}

// Whatever the bytes are, what comes out are endpoints that can be used, each
// once.
func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"services": {"f": ["10.0.0.1:80", {"address": "[::1]:80", "weight": 2}]}}`))
	f.Add([]byte("services:\n  f: [unix:/a, 'https://10.0.0.1:1']\n"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		for _, read := range []func([]byte) (Services, []discovery.Refusal, error){YAML, JSON} {
			services, _, err := read(doc)
			if err != nil {
				continue
			}
			if _, err := json.Marshal(services); err != nil {
				t.Fatal(err)
			}
			for name, set := range services {
				seen := map[string]bool{}
				for _, ep := range set {
					if ep.ID == "" || ep.Addr == "" || ep.Weight < 0 || ep.Slots < 0 || seen[ep.ID] {
						t.Fatalf("service %q has %+v", name, ep)
					}
					seen[ep.ID] = true
				}
			}
		}
	})
}
