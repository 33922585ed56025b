package document

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/discovery"
)

// Services are the endpoints of each service, in the order of their IDs.
type Services map[string][]discovery.Endpoint

// YAML reads a document in YAML, of which JSON is a part.
func YAML(doc []byte) (Services, []discovery.Refusal, error) {
	converted, err := yaml.YAMLToJSON(doc)
	if err != nil {
		return nil, nil, errors.New(strings.TrimSpace(yaml.FormatError(err, false, false)))
	}
	return JSON(converted)
}

// JSON reads a document in JSON:
//
//	{"services": {"checkout": ["10.0.0.1:8080", {"address": "10.0.0.2:8080", "weight": 2}]}}
//
// Other keys beside services are passed over. Entries that cannot be used are
// left out and told, in the order in which they stand.
func JSON(doc []byte) (Services, []discovery.Refusal, error) {
	dec := json.NewDecoder(bytes.NewReader(doc))
	var services Services
	var refused []discovery.Refusal
	err := object(dec, "the document", func(key string) (err error) {
		if key != "services" {
			return skip(dec)
		}
		if services != nil {
			return errors.New(`"services" is there twice`)
		}
		services, refused, err = readServices(dec)
		return err
	})
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("cannot read it: %w", err)
	case services == nil:
		return nil, nil, errors.New(`it has no "services"`)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, nil, errors.New("cannot read it: something follows the document")
	}
	return services, refused, nil
}

// object reads an object, of which each reads the value of every key.
func object(dec *json.Decoder, what string, each func(key string) error) error {
	switch begin, err := dec.Token(); {
	case errors.Is(err, io.EOF):
		return errors.New("it is empty")
	case err != nil:
		return err
	case begin != json.Delim('{'):
		return fmt.Errorf("%s must be a mapping", what)
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		if err := each(key.(string)); err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return err
}

func skip(dec *json.Decoder) error {
	var unread json.RawMessage
	return dec.Decode(&unread)
}

func readServices(dec *json.Decoder) (Services, []discovery.Refusal, error) {
	services, refused := Services{}, []discovery.Refusal(nil)
	err := object(dec, "services", func(name string) error {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return err
		}
		refuse := func(item int, reason string) {
			what := "service " + name
			if item >= 0 {
				what = fmt.Sprintf("service %s, entry %d", name, item+1)
			}
			refused = append(refused, discovery.Refusal{What: what, Reason: reason})
		}
		if _, twice := services[name]; twice {
			return fmt.Errorf("service %q is there twice", name)
		}
		services[name] = []discovery.Endpoint{}
		var entries []json.RawMessage
		if err := json.Unmarshal(raw, &entries); err != nil || entries == nil {
			return fmt.Errorf("the endpoints of service %q must be a list", name)
		}
		services[name] = readEntries(entries, refuse)
		return nil
	})
	return services, refused, err
}

func readEntries(entries []json.RawMessage, refuse func(item int, reason string)) []discovery.Endpoint {
	set := make([]discovery.Endpoint, 0, len(entries))
	first := make(map[string]int, len(entries))
	for i, raw := range entries {
		ep, err := readEntry(raw)
		if err != nil {
			refuse(i, err.Error())
			continue
		}
		if at, twice := first[ep.ID]; twice {
			if set[at] != ep { // else it is only said twice
				refuse(i, fmt.Sprintf("%s is there already, and not the same", ep.ID))
			}
			continue
		}
		first[ep.ID] = len(set)
		set = append(set, ep)
	}
	slices.SortFunc(set, func(a, b discovery.Endpoint) int { return cmp.Compare(a.ID, b.ID) })
	return set
}

// An entry is one endpoint, as in the configuration.
type entry struct {
	Address string `json:"address"`
	Region  string `json:"region"`
	Zone    string `json:"zone"`
	Weight  *int   `json:"weight"`
	Slots   int    `json:"slots"`
}

func readEntry(raw json.RawMessage) (discovery.Endpoint, error) {
	var e entry
	if len(raw) > 0 && raw[0] == '"' {
		if err := json.Unmarshal(raw, &e.Address); err != nil {
			return discovery.Endpoint{}, err
		}
	} else if err := strictly(raw, &e); err != nil {
		return discovery.Endpoint{}, err
	}
	ep := config.Endpoint{Address: e.Address, Region: e.Region, Zone: e.Zone, Weight: 1, Slots: e.Slots}
	if e.Weight != nil {
		ep.Weight = *e.Weight
	}
	if ep.Address == "" {
		return discovery.Endpoint{}, errors.New("it has no address")
	}
	ep, err := config.ReadEndpoint(ep)
	if err != nil {
		return discovery.Endpoint{}, err
	}
	out, ok := discovery.Literal(ep)
	if !ok {
		return discovery.Endpoint{}, fmt.Errorf("its address has a name for a host: %q; write the IP address, or have weir ask the name server with dns:NAME:PORT as the service", ep.Address)
	}
	return out, nil
}

func strictly(raw json.RawMessage, e *entry) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	err := dec.Decode(e)
	var wrongType *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case strings.HasPrefix(err.Error(), "json: unknown field"):
		hint := "known here: address, region, zone, weight, slots"
		if strings.ContainsAny(strings.TrimPrefix(err.Error(), "json: unknown field"), ".[") { // YAML took [10.0.0.1:80] for a mapping
			hint = "put quotes around an address"
		}
		return fmt.Errorf("%s; %s", strings.TrimPrefix(err.Error(), "json: "), hint)
	case !errors.As(err, &wrongType):
		return err
	case wrongType.Field == "":
		return fmt.Errorf("it must be an address or a mapping, not %s", kind(wrongType.Value))
	}
	return fmt.Errorf("its %s cannot be %s", wrongType.Field, kind(wrongType.Value))
}

// kind is what the configuration's messages call a kind of JSON's.
func kind(json string) string {
	switch json {
	case "array":
		return "a list"
	case "object":
		return "a mapping"
	case "string":
		return "a text"
	case "bool":
		return "true or false"
	}
	return "a " + json
}

// Join adds more endpoints of a service, in another list, and says of those
// that cannot be added why. Nobody changes a set: what is joined with none is itself.
func Join(set, more []discovery.Endpoint) (joined []discovery.Endpoint, refused []string) {
	if len(set) == 0 {
		return more, nil
	}
	joined = append(make([]discovery.Endpoint, 0, len(set)+len(more)), set...)
	for _, ep := range more {
		at, known := slices.BinarySearchFunc(set, ep.ID, func(ep discovery.Endpoint, id string) int { return cmp.Compare(ep.ID, id) })
		switch {
		case !known:
			joined = append(joined, ep)
		case set[at] != ep:
			refused = append(refused, ep.ID+" is in another file already, and not the same")
		}
	}
	slices.SortFunc(joined, func(a, b discovery.Endpoint) int { return cmp.Compare(a.ID, b.ID) })
	return joined, refused
}
