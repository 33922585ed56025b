package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weir-gateway/weir/internal/testkit"
)

// echoing is a server that answers with its name and the path that it was
// asked for; one whose name ends with a question mark with the host too.
func echoing(t *testing.T, name string) (port int) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name, asked := strings.CutSuffix(name, "?"); asked {
			fmt.Fprint(w, name, " ", r.Host, r.URL.Path)
			return
		}
		fmt.Fprint(w, name, " ", r.URL.Path)
	})}
	go server.Serve(ln)
	t.Cleanup(func() { server.Close() })
	return ln.Addr().(*net.TCPAddr).Port
}

// ask calls weir as a host.
func (w *running) ask(host, path string) string {
	w.t.Helper()
	req, err := http.NewRequest("GET", w.url+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Host = host
	client := http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		w.t.Fatal(err)
	case resp.StatusCode != http.StatusOK:
		return strings.TrimSpace(strconv.Itoa(resp.StatusCode) + " " + resp.Header.Get("Location"))
	}
	return string(body)
}

// told is what a command says.
func (w *running) told(args ...string) string {
	w.t.Helper()
	out, talk, code := w.weir(args...)
	if code != 0 {
		w.t.Fatalf("weir %v: %d, %s", args, code, talk)
	}
	return out
}

// Services as Fabio's users have them are routed by their tags, untouched. They
// come and go, a registry that is away takes nobody along, and the
// configuration's own routes go first.
func TestServicesDeclareTheirRoutes(t *testing.T) {
	agent := testkit.StartConsul(t, "dc1", "")
	register := func(id, name string, port int, tags ...string) {
		agent.Register(testkit.ConsulService{ID: id, Name: name, Address: "127.0.0.1", Port: port, Tags: tags})
	}
	fleet := func() {
		register("web-1", "web", echoing(t, "web"), "urlprefix-mysite.com/", "urlprefix-/css", "v1")
		register("user-1", "user-svc", echoing(t, "user"), "urlprefix-MySite.com/user", "urlprefix-/user allow=ip:127.0.0.0/8")
		register("user-2", "user-svc", echoing(t, "user"), "urlprefix-mysite.com/user")
		register("secret-1", "secret", echoing(t, "secret"), "urlprefix-/secret deny=ip:127.0.0.0/8")
		register("db-1", "db", echoing(t, "db"), "urlprefix-:3306 proto=tcp")
		register("hole-1", "hole", echoing(t, "hole"), "urlprefix-/hole auth=basic", "urlprefix-/own", "urlprefix-/good")
		register("new-1", "new", echoing(t, "new"), "weir.route=mysite.com/new methods=GET exact")
		register("plain-1", "plain", echoing(t, "plain"), "blue")
	}
	fleet()
	dir := t.TempDir()
	config := filepath.Join(dir, "weir.yaml")
	settings := func(tags bool) string {
		return fmt.Sprintf(`listeners: [{ address: "127.0.0.1:0" }]
admin: { address: "127.0.0.1:0" }
discovery:
  consul: { address: %q, tag_routes: %v, empty_after: 2s }
functions:
  own: { endpoints: ["127.0.0.1:%d"] }
routes: [{ path_prefix: /own, function: own }]
`, agent.Address, tags, echoing(t, "own"))
	}
	write(t, config, settings(true))
	w := startRun(t, config)
	want := func(host, path, answer string) {
		t.Helper()
		if got := w.ask(host, path); got != answer {
			t.Errorf("%s%s is answered by %q, want %q", host, path, got, answer)
		}
	}
	all := func() {
		t.Helper()
		want("mysite.com", "/", "web /")
		want("mysite.com", "/user/7", "user /user/7")
		want("other.com", "/user", "user /user")
		want("other.com", "/css/a.css", "web /css/a.css")
		want("other.com", "/secret", "403")
		want("other.com", "/hole", "404")
		want("other.com", "/good", "hole /good")
		want("other.com", "/own", "own /own")
		want("mysite.com", "/new", "new /new")
		want("mysite.com", "/new/more", "web /new/more")
		want("other.com", "/", "404")
	}
	all() // with the first call already: weir does not listen before

	var refused []struct{ What, Reason string }
	_, list, err := get(w.admin + "/api/v1/refused")
	if err != nil || json.Unmarshal([]byte(list), &refused) != nil || len(refused) != 3 {
		t.Errorf("refused is %s, %v; want the database, the one with auth, and /own", list, err)
	}
	for _, reason := range []string{`service db, tag \"urlprefix-:3306 proto=tcp\"`, "the option auth: weir asks nobody for a password", "its calls are those of a route of the configuration already"} {
		if !strings.Contains(list, reason) {
			t.Errorf("refused does not say %s: %s", reason, list)
		}
	}

	// A service comes, another goes: its route stays until that is believed.
	register("late-1", "late", echoing(t, "late"), "urlprefix-/late")
	eventually(t, "/late has come", func() bool { return w.ask("other.com", "/late") == "late /late" })
	agent.Deregister("new-1")
	eventually(t, "/new has gone", func() bool { return w.ask("mysite.com", "/new") == "web /new" })

	// The agent is killed, and comes back with nothing: nobody notices.
	agent.Kill()
	time.Sleep(time.Second)
	want("mysite.com", "/user", "user /user")
	agent.Restart()
	fleet()
	want("mysite.com", "/user", "user /user")
	eventually(t, "/new is back", func() bool { return w.ask("mysite.com", "/new") == "new /new" })
	all()
	time.Sleep(3 * time.Second)
	all()
}

// A fleet as Fabio has it: paths that are stripped and prepended, hosts, redirects,
// weights, services and instances that share a route. All of it is routed unchanged,
// and what each route comes from is told.
func TestFabioFleet(t *testing.T) {
	agent := testkit.StartConsul(t, "dc1", "")
	register := func(id, name string, port int, tags ...string) {
		agent.Register(testkit.ConsulService{ID: id, Name: name, Address: "127.0.0.1", Port: port, Tags: tags})
	}
	apiPort, dstPort := echoing(t, "api"), echoing(t, "dst?")
	register("api-1", "api", apiPort, "urlprefix-shop.com/api/v1 strip=/api", "urlprefix-/whole strip=/whole", "urlprefix-/pre prepend=/put", "urlprefix-/both strip=/both prepend=/new")
	register("dst-1", "dst", dstPort, "urlprefix-/dst host=dst")
	register("named-1", "named", echoing(t, "named?"), "urlprefix-/named host=Internal.Example")
	register("moved-1", "moved", 1, "urlprefix-/old redirect=301,https://www.shop.com$path", "urlprefix-/gone strip=/gone redirect=303,http://shop.com/now$path",
		"urlprefix-/far redirect=302,https://far.com/x", "urlprefix-shop.com:80/ redirect=308,https://$host$path")
	// Two services on one route, of which one asks for a tenth for each instance.
	register("new-1", "web-new", echoing(t, "new"), "urlprefix-shop.com/web weight=0.1")
	register("old-1", "web-old", echoing(t, "old"), "urlprefix-shop.com/web")
	register("old-2", "web-old", echoing(t, "old"), "urlprefix-shop.com/web")
	// One service whose instances say different things.
	register("mix-1", "mix", echoing(t, "mix1"), "urlprefix-/mix", "urlprefix-/one")
	register("mix-2", "mix", echoing(t, "mix2"), "urlprefix-/mix weight=0.25")
	// One route of which each asks for something else on the way.
	register("roll-1", "roll", echoing(t, "roll1"), "urlprefix-/roll")
	register("roll-2", "roll", echoing(t, "roll2"), "urlprefix-/roll strip=/roll")
	register("roll-3", "rolled", echoing(t, "roll3?"), "urlprefix-/roll prepend=/v3 host=v3.example")
	register("closed-1", "rolled-closed", echoing(t, "closed"), "urlprefix-/roll allow=ip:10.0.0.0/8")
	register("dc-1", "dc", echoing(t, "dc"), "urlprefix-$DC.shop.com/", "urlprefix-/reg register=reg.shop.com")
	agent.Register(testkit.ConsulService{
		ID: "meta-1", Name: "meta", Address: "127.0.0.1", Port: echoing(t, "meta"), Tags: []string{"weir.route"},
		Meta: map[string]string{"weir_route": "/meta strip", "slots": "many"},
	})
	agent.Register(testkit.ConsulService{ID: "bad-1", Name: "bad", Address: "no.address.example", Port: 80, Tags: []string{"urlprefix-/bad"}})

	config := filepath.Join(t.TempDir(), "weir.yaml")
	write(t, config, fmt.Sprintf(`listeners: [{ address: "127.0.0.1:0" }]
admin: { address: "127.0.0.1:0" }
discovery: { consul: { address: %q, tag_routes: true, empty_after: 2s } }
functions: { own: { endpoints: [] } }
routes: [{ path: /own, function: own }]
`, agent.Address))
	w := startRun(t, config)
	for _, c := range [][3]string{
		{"shop.com", "/api/v1/carts", "api /v1/carts"},
		{"shop.com", "/api/v1", "api /v1"},
		{"a.com", "/whole", "api /"},
		{"a.com", "/whole/part", "api /part"},
		{"a.com", "/pre/x", "api /put/pre/x"},
		{"a.com", "/both/x", "api /new/x"},
		{"a.com", "/dst/x", fmt.Sprintf("dst 127.0.0.1:%d/dst/x", dstPort)},
		{"a.com", "/named", "named internal.example/named"},
		{"a.com", "/old/x?y=z", "301 https://www.shop.com/old/x?y=z"},
		{"a.com", "/gone/x?y=z", "303 http://shop.com/now/x?y=z"},
		{"a.com", "/far/away?y=z", "302 https://far.com/x"},
		{"shop.com", "/else?y", "308 https://shop.com/else?y"},
		{"a.com", "/one", "mix1 /one"},
		{"dc1.shop.com", "/x", "dc /x"},
		{"a.com", "/reg", "dc /reg"},
		{"a.com", "/meta/x", "meta /x"},
		{"a.com", "/bad", "404"}, // weir asks no name server
	} {
		eventually(t, fmt.Sprintf("%s%s is answered by %q", c[0], c[1], c[2]), func() bool { return w.ask(c[0], c[1]) == c[2] })
	}
	counts := func(host, path string, n int) string {
		all := map[string]int{}
		for range n {
			answer, _, _ := strings.Cut(w.ask(host, path), " ")
			all[answer]++
		}
		return fmt.Sprint(all)
	}
	eventually(t, "two services share", func() bool { return counts("shop.com", "/web", 100) == "map[new:10 old:90]" })
	eventually(t, "two instances share", func() bool { return counts("a.com", "/mix", 100) == "map[mix1:75 mix2:25]" })

	ways := func() string {
		all := map[string]int{}
		for range 30 {
			all[w.ask("a.com", "/roll/x")]++
		}
		return fmt.Sprint(all)
	}
	eventually(t, "each has its calls as it asks for them", func() bool {
		return ways() == "map[roll1 /roll/x:10 roll2 /x:10 roll3 v3.example/v3/roll/x:10]"
	})

	_, refused, _ := get(w.admin + "/api/v1/refused")
	for _, reason := range []string{
		`its address is not an IP address: \"no.address.example\"`, "service rolled-closed, tag", `its slots \"many\" are left out`, "register=reg.shop.com is left out, the route stands",
	} {
		if !strings.Contains(refused, reason) {
			t.Errorf("refused does not say %s: %s", reason, refused)
		}
	}
	routes := w.told("routes")
	for _, origin := range []string{
		`registry service dst, tag "urlprefix-/dst host=dst" in dc1`, "file " + config + ":5:10",
		`registry service web-new, tag "urlprefix-shop.com/web weight=0.1" in dc1; service web-old, tag "urlprefix-shop.com/web" in dc1`,
	} {
		if !strings.Contains(routes, origin) {
			t.Errorf("weir routes does not say %s:\n%s", origin, routes)
		}
	}
	if told := w.told("explain", "--url", "http://shop.com/web"); !strings.Contains(told, "goes to web-new=1000 web-old=9000, by routes[") || !strings.Contains(told, `(registry service web-new, tag`) {
		t.Errorf("weir explain says\n%s", told)
	}
	if told := w.told("routes", "--refused"); !strings.Contains(told, "service bad, instance bad-1 (consul node node-dc1)") {
		t.Errorf("weir routes --refused says\n%s", told)
	}

	// The shares follow the instances, and no call fails meanwhile: neither when
	// those of a service come to be told apart by their tags, nor when they are alike
	// again.
	calls := loadOn(w.url + "/mix")
	agent.Deregister("old-2")
	agent.Deregister("old-1")
	eventually(t, "all goes to the new one", func() bool { return counts("shop.com", "/web", 20) == "map[new:20]" })
	register("mix-1", "mix", echoing(t, "mix1"), "urlprefix-/mix weight=0.25", "urlprefix-/one")
	eventually(t, "the instances are alike", func() bool {
		return strings.Contains(w.told("routes"), " mix ") && counts("a.com", "/mix", 20) == "map[mix1:10 mix2:10]"
	})
	register("mix-2", "mix", echoing(t, "mix2"), "urlprefix-/mix weight=0.5")
	eventually(t, "the instances are told apart", func() bool { return counts("a.com", "/mix", 30) == "map[mix1:10 mix2:20]" })
	calls.more(t, 100)
	calls.end(t)
}
