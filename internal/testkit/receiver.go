package testkit

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// A Receiver takes spans by OTLP over HTTP, as a collector does, and keeps them.
type Receiver struct {
	*httptest.Server
	t testing.TB

	mu       sync.Mutex // guards all below
	status   int
	spans    []*otlp.Span
	resource map[string]string
}

// Receive runs a Receiver until the test ends.
func Receive(t testing.TB) *Receiver {
	r := &Receiver{t: t, status: http.StatusOK}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

// Answer has what comes from now on answered with a status; what is not answered
// with 200 is not kept.
func (r *Receiver) Answer(status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status = status
}

// ServeHTTP takes one export.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, post *http.Request) {
	request, err := readExport(post)
	if err != nil || post.URL.Path != "/v1/traces" || post.Header.Get("Content-Type") != "application/x-protobuf" {
		r.t.Errorf("%s %s %v: %v", post.Method, post.URL, post.Header, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	w.WriteHeader(r.status)
	if r.status != http.StatusOK {
		return
	}
	for _, of := range request.GetResourceSpans() {
		r.resource = Attributes(of.GetResource().GetAttributes())
		for _, scope := range of.GetScopeSpans() {
			r.spans = append(r.spans, scope.GetSpans()...)
		}
	}
}

func readExport(post *http.Request) (*collector.ExportTraceServiceRequest, error) {
	body := io.Reader(post.Body)
	if post.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(body)
		if err != nil {
			return nil, err
		}
		body = unzipped
	}
	b, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	request := new(collector.ExportTraceServiceRequest)
	return request, proto.Unmarshal(b, request)
}

// Spans are those that have come so far, in the order in which they did.
func (r *Receiver) Spans() []*otlp.Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.spans)
}

// Resource is what the last export said of who sent it.
func (r *Receiver) Resource() map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.resource
}

// Attributes are a span's as texts.
func Attributes(list []*common.KeyValue) map[string]string {
	texts := map[string]string{}
	for _, kv := range list {
		texts[kv.GetKey()] = kv.GetValue().String()
		if v, ok := kv.GetValue().GetValue().(*common.AnyValue_StringValue); ok {
			texts[kv.GetKey()] = v.StringValue
		}
	}
	return texts
}
