package bench

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"
)

// static is a piece of configuration: a function that is there already.
func static(name string, addrs ...string) string {
	doc := "  " + name + ": { endpoints: ["
	for i, addr := range addrs {
		if i > 0 {
			doc += ", "
		}
		doc += strconv.Quote(addr)
	}
	return doc + "] }\n"
}

// Bodies of 10 GiB through weir, of known length and chunked, both ways: how
// fast, and how much memory weir has at the most meanwhile. Each is one
// iteration: run with -benchtime 1x.
func BenchmarkBulk(b *testing.B) {
	const size = 10 << 30
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			n, err := io.Copy(io.Discard, r.Body)
			fmt.Fprintf(w, "%d %v", n, err)
			return
		}
		if r.URL.Query().Get("coded") == "" {
			w.Header().Set("Content-Length", strconv.Itoa(size))
		}
		_, _ = io.CopyN(w, zeros{}, size)
	}))
	b.Cleanup(endpoint.Close)
	l := run(b, "", static("f", endpoint.Listener.Addr().String()))
	// The client's own buffers are large, so that it is not the client that is
	// measured.
	client := &http.Client{Transport: &http.Transport{ReadBufferSize: 256 << 10, WriteBufferSize: 256 << 10}}
	for _, way := range []struct {
		name string
		move func() (int64, error)
	}{
		{"download", func() (int64, error) { return download(client, l.addr, "") }},
		{"download-chunked", func() (int64, error) { return download(client, l.addr, "?coded=1") }},
		{"upload", func() (int64, error) { return upload(client, l.addr, size, size) }},
		{"upload-chunked", func() (int64, error) { return upload(client, l.addr, size, -1) }},
	} {
		b.Run(way.name, func(b *testing.B) {
			b.SetBytes(size)
			before, most := l.rss(), 0
			for b.Loop() {
				ended := make(chan struct{})
				failed := make(chan error, 1)
				go func() {
					defer close(ended)
					if n, err := way.move(); n != size || err != nil {
						failed <- fmt.Errorf("%d bytes, %v", n, err)
					}
				}()
				for tick := time.NewTicker(50 * time.Millisecond); ended != nil; {
					select {
					case <-ended:
						ended = nil
						tick.Stop()
					case <-tick.C:
						most = max(most, l.rss())
					}
				}
				select {
				case err := <-failed:
					b.Fatal(err)
				default:
				}
			}
			b.ReportMetric(float64(most-before)/(1<<10), "KiB-more")
			b.ReportMetric(float64(most)/(1<<20), "MiB-in-all")
		})
	}
}

func download(client *http.Client, addr, query string) (int64, error) {
	r, err := client.Get("http://" + addr + "/f" + query)
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	return io.CopyBuffer(onlyWriter{io.Discard}, r.Body, make([]byte, 256<<10))
}

func upload(client *http.Client, addr string, size, length int64) (int64, error) {
	request, err := http.NewRequest(http.MethodPost, "http://"+addr+"/f", io.LimitReader(zeros{}, size))
	if err != nil {
		return 0, err
	}
	request.ContentLength = length
	r, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	answer, err := io.ReadAll(r.Body)
	if err != nil {
		return 0, err
	}
	var n int64
	if _, err := fmt.Sscanf(string(answer), "%d <nil>", &n); err != nil {
		return 0, fmt.Errorf("the endpoint says %q", answer)
	}
	return n, nil
}

// zeros is a reader without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// onlyWriter hides what else a writer can, so that the buffer is used.
type onlyWriter struct{ io.Writer }
