package geo

import (
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir-gateway/weir/config"
	"github.com/weir-gateway/weir/internal/testkit"
)

func write(t testing.TB, content []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "city.mmdb")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

var (
	paris  = [2]float64{48.86, 2.35}
	sydney = [2]float64{-33.87, 151.21}
)

func place(cidr string, at [2]float64) config.Place {
	return config.Place{CIDR: netip.MustParsePrefix(cidr), Location: []config.Degrees{config.Degrees(at[0]), config.Degrees(at[1])}}
}

func TestFind(t *testing.T) {
	file := write(t, testkit.Places(t, map[string][2]float64{
		"203.0.113.0/24": paris, "2001:db8::/32": sydney,
		"198.18.0.0/24": {1000, 0}, "198.18.1.0/24": {0, -181}, "198.18.2.0/24": {math.NaN(), 0},
	}))
	m, err := NewMap(config.Geography{Database: file, Places: []config.Place{
		place("10.0.0.0/8", paris), place("10.1.0.0/16", sydney), place("203.0.113.9/32", sydney), place("fd00::/8", paris),
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		addr  string
		at    [2]float64
		known bool
	}{
		{"10.2.3.4", paris, true},
		{"10.1.3.4", sydney, true},
		{"::ffff:10.1.3.4", sydney, true},
		{"203.0.113.8", paris, true},
		{"203.0.113.9", sydney, true}, // what is listed counts more than the database
		{"2001:db8::1", sydney, true},
		{"fd00::1%eth0", paris, true},
		{"192.0.2.1", [2]float64{}, false}, // in the database, with a country and no point
		{"198.51.100.1", [2]float64{}, false},
		{"198.18.0.1", [2]float64{}, false}, // no such place
		{"198.18.1.1", [2]float64{}, false},
		{"198.18.2.1", [2]float64{}, false},
		{"2001:db9::1", [2]float64{}, false},
	} {
		for range 2 { // the second one is remembered
			at, known := m.Find(netip.MustParseAddr(c.addr))
			want := Point{}
			if c.known {
				want = At(c.at[0], c.at[1])
			}
			if known != c.known || at != want {
				t.Errorf("%s is at %v, %v; want %v, %v", c.addr, at, known, want, c.known)
			}
		}
	}
	if at, known := m.Find(netip.Addr{}); known {
		t.Errorf("no address is at %v", at)
	}
}

// A file that is replaced or cut while it is in use disturbs nobody; the next Map
// has what it says then, and one that cannot be read gives none.
func TestDatabaseIsReplaced(t *testing.T) {
	addr := netip.MustParseAddr("203.0.113.1")
	file := write(t, testkit.Places(t, map[string][2]float64{"203.0.113.0/24": paris}))
	cfg := config.Geography{Database: file}
	first, err := NewMap(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	if same, err := NewMap(cfg, first); err != nil || same != first {
		t.Errorf("nothing has changed, and there is another Map, or %v", err)
	}
	more := config.Geography{Database: file, Places: []config.Place{place("10.0.0.0/8", sydney)}}
	if same, err := NewMap(more, first); err != nil || same.db != first.db {
		t.Errorf("an unchanged file was read again, or %v", err)
	}
	if err := os.Truncate(file, 100); err != nil {
		t.Fatal(err)
	}
	after, err := NewMap(cfg, first)
	if err == nil {
		t.Error("no error of a file that was cut")
	}
	for _, m := range []*Map{first, after} {
		if at, known := m.Find(addr); !known || at != At(paris[0], paris[1]) {
			t.Errorf("then it is at %v, %v", at, known)
		}
	}
	if err := os.WriteFile(file, testkit.Places(t, map[string][2]float64{"203.0.113.0/24": sydney, "10.0.0.0/8": paris}), 0o600); err != nil {
		t.Fatal(err)
	}
	second, err := NewMap(cfg, after)
	if err != nil {
		t.Fatal(err)
	}
	if at, _ := second.Find(addr); at != At(sydney[0], sydney[1]) {
		t.Errorf("the new file says %v", at)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if m, err := NewMap(cfg, second); err == nil || m.db != second.db {
		t.Errorf("of a file that is missing: %v", err)
	}
	if m, err := NewMap(cfg, nil); err == nil || m == nil {
		t.Errorf("of a file that is missing from the start: %v", err)
	} else if _, known := m.Find(addr); known {
		t.Error("a place out of nowhere")
	}
	if m, err := NewMap(config.Geography{}, second); err != nil || m.db != nil {
		t.Errorf("without a database: %v", err)
	}
}

func TestParsePoint(t *testing.T) {
	for text, want := range map[string]Point{
		"48.86,2.35": At(48.86, 2.35), " -33.87 , 151.21 ": At(-33.87, 151.21), "90,-180": At(90, -180), "0,0": {1, 0, 0},
	} {
		if p, ok := ParsePoint(text); !ok || p != want {
			t.Errorf("%q: %v, %v", text, p, ok)
		}
	}
	for _, text := range []string{"", ",", "48.86", "48.86,", "48.86;2.35", "91,0", "0,181", "NaN,0", "0,NaN", "Inf,0", "1,2,3", "a,b", "1.2.3,0", "--1,0", "-,0", ".,0", "1e1,0", "0x1,0", "1_0,0", "+1,0"} {
		if p, ok := ParsePoint(text); ok {
			t.Errorf("%q is %v", text, p)
		}
	}
}

// Decimals are read as strconv reads them.
func TestReadDegrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`-?([0-9]{1,4}(\.[0-9]{0,20})?|\.[0-9]{1,20})`).Draw(t, "text")
		want, err := strconv.ParseFloat(text, 64)
		got, rest, ok := readDegrees(text)
		if ok != (err == nil) || ok && (got != want || rest != "") {
			t.Fatalf("%v %q %v, want %v", got, rest, ok, want)
		}
	})
}

// Distances that are known, and laws of any.
func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b [2]float64
		km   float64
	}{
		{paris, [2]float64{51.51, -0.13}, 344}, // London
		{paris, sydney, 16960},
		{[2]float64{0, 179}, [2]float64{0, -179}, 222}, // over the date line
		{[2]float64{90, 0}, [2]float64{-90, 0}, 20015},
		{paris, paris, 0},
	} {
		if km := At(c.a[0], c.a[1]).Kilometres(At(c.b[0], c.b[1])); math.Abs(km-c.km) > 0.01*c.km+0.5 {
			t.Errorf("%v to %v: %.0f km, want %.0f", c.a, c.b, km, c.km)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		point := rapid.Custom(func(t *rapid.T) Point {
			return At(rapid.Float64Range(-90, 90).Draw(t, "latitude"), rapid.Float64Range(-180, 180).Draw(t, "longitude"))
		})
		a, b, c := point.Draw(t, "a"), point.Draw(t, "b"), point.Draw(t, "c")
		if (a.Closeness(b) > a.Closeness(c)) != (a.Kilometres(b) < a.Kilometres(c)) && math.Abs(a.Closeness(b)-a.Closeness(c)) > 1e-12 {
			t.Errorf("closer is not nearer")
		}
		if a.Kilometres(c) > a.Kilometres(b)+b.Kilometres(c)+0.1 {
			t.Errorf("a detour is shorter")
		}
	})
}

func BenchmarkFind(b *testing.B) {
	m, err := NewMap(config.Geography{Database: write(b, testkit.Places(b, map[string][2]float64{"203.0.113.0/24": paris}))}, nil)
	if err != nil {
		b.Fatal(err)
	}
	addr := netip.MustParseAddr("203.0.113.1")
	b.Run("remembered", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			m.Find(addr)
		}
	})
	b.Run("looked up", func(b *testing.B) {
		for b.Loop() {
			m.look(addr)
		}
	})
}

// Texts that are remembered are read as those that are not.
func TestRead(t *testing.T) {
	m, err := NewMap(config.Geography{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{"", "48.86, 2.35", "48.86,2.35", "-33.9,151.2", "91,0", "north", "0,0", strings.Repeat("1", longestRead) + ",0"}
	for range 50 * rarelyKept {
		for _, text := range texts {
			at, ok := m.Read([]byte(text))
			if want, known := ParsePoint(text); at != want || ok != known {
				t.Fatalf("%q is %v %v, want %v %v", text, at, ok, want, known)
			}
		}
	}
	kept := 0
	for i := range m.read {
		if m.read[i].Load() != nil {
			kept++
		}
	}
	if kept < 2 || kept > len(texts)-1 {
		t.Errorf("%d of %d texts are kept", kept, len(texts))
	}
}

func BenchmarkRead(b *testing.B) {
	m, err := NewMap(config.Geography{}, nil)
	if err != nil {
		b.Fatal(err)
	}
	text := []byte("48.86,2.35")
	b.Run("remembered", func(b *testing.B) {
		for b.Loop() {
			m.Read(text)
		}
	})
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			ParsePoint(string(text))
		}
	})
	b.Run("never twice", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			text = strconv.AppendInt(append(text[:0], "48.86,2."...), int64(i), 10)
			m.Read(text)
		}
	})
}

// The points are those that trigonometry has.
func TestAt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		latitude := rapid.Float64Range(-90, 90).Draw(t, "latitude")
		longitude := rapid.Float64Range(-180, 180).Draw(t, "longitude")
		sinNorth, cosNorth := math.Sincos(latitude * math.Pi / 180)
		sinEast, cosEast := math.Sincos(longitude * math.Pi / 180)
		got := At(latitude, longitude)
		for i, want := range []float64{cosNorth * cosEast, cosNorth * sinEast, sinNorth} {
			if !(math.Abs(got[i]-want) < 1e-14) {
				t.Fatalf("%v, want %v at %d", got, want, i)
			}
		}
	})
}
