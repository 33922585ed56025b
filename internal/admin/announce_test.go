package admin

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// A no is a Refusal.
type no struct{}

func (no) Error() string          { return "The token is wrong." }
func (no) Refusal() (int, string) { return 401, "unauthorized" }

func TestAnnouncements(t *testing.T) {
	w := open(t, document)
	w.announce = func(_ context.Context, function, kind, token string, body []byte) error {
		switch function + " " + kind + " " + token + " " + string(body) {
		case "hello ready good {}", "a b gone good {}":
			return nil
		case "hello ready bad {}":
			return no{}
		}
		return errors.New("oops")
	}
	for _, c := range []struct {
		method, path, token string
		status              int
		words               string
	}{
		{"POST", "/api/v1/functions/hello/ready", "good", 204, ""},
		{"POST", "/api/v1/functions/a%20b/gone", "good", 204, ""},
		{"POST", "/api/v1/functions/hello/ready", "bad", 401, "The token is wrong."},
		{"POST", "/api/v1/functions/hello/gone", "bad", 500, "inside weir"},
		{"GET", "/api/v1/functions/hello/ready", "good", 405, "Only POST"},
	} {
		req, _ := http.NewRequest(c.method, "http://"+w.addr+c.path, strings.NewReader("{}"))
		req.Header.Set("Authorization", "Bearer "+c.token)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != c.status || !strings.Contains(string(body), c.words) || (c.status == 401) != (res.Header.Get("WWW-Authenticate") == "Bearer") {
			t.Errorf("%s %s: %d %s", c.method, c.path, res.StatusCode, body)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
