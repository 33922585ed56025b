package message

import (
	"bytes"
	"net/url"
	"path"
	"strings"
	"testing"
)

func TestNormalizePath(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		got, _, err := NormalizePath([]byte(in), nil)
		if err != nil || string(got) != want {
			t.Errorf("%s becomes %s, %v; want %s", in, got, err, want)
		}
	}
	f("/", "/")
	f("/a/b", "/a/b")
	f("/a/b/", "/a/b/")
	f("//", "/")
	f("/a//b", "/a/b")
	f("/a/./b", "/a/b")
	f("/a/.", "/a/")
	f("/./", "/")
	f("/a/../b", "/b")
	f("/a/..", "/")
	f("/a/../", "/")
	f("/a/b/../../c", "/c")
	f("/a/%2e%2E/b", "/b")
	f("/a/.%2e/b", "/b")
	f("/%61%7e%2D", "/a~-")
	f("/a%2fb", "/a%2Fb") // separates nothing
	f("/a/..%2fb", "/a/..%2Fb")
	f("/a%20b%c3%a9", "/a%20b%C3%A9")
	f("/a/...", "/a/...")
	f("/.a/..b", "/.a/..b")
	f("/a/.well-known/x", "/a/.well-known/x")

	refused := func(in string, want error) {
		t.Helper()
		if got, _, err := NormalizePath([]byte(in), nil); err != want {
			t.Errorf("%s becomes %s, %v; want %v", in, got, err, want)
		}
	}
	refused("", errPathStart)
	refused("a", errPathStart)
	refused("/..", errPathAbove)
	refused("/a/../..", errPathAbove)
	refused("/%2e./a", errPathAbove)
	refused("/a\\b", errPathSlashes)
	refused("/a%5Cb", errPathSlashes)
	refused("/a%00", errPathNul)
	refused("/a%", errPathEscape)
	refused("/a%4", errPathEscape)
	refused("/a%4g", errPathEscape)
}

func TestNormalPathIsNotCopied(t *testing.T) {
	in := []byte("/a/b.c/d")
	got, scratch, err := NormalizePath(in, nil)
	if err != nil || &got[0] != &in[0] || scratch != nil {
		t.Errorf("%s, %v", got, err)
	}
}

func FuzzNormalizePath(f *testing.F) {
	for _, s := range []string{"/a/../b", "/%2e%2e/x", "//a//", "/a%2fb/.", "/a/b/../../c%41"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		before := []byte(in)
		got, _, err := NormalizePath(before, []byte("kept"))
		if string(before) != in {
			t.Fatalf("%q was changed in place", in)
		}
		if err != nil {
			return
		}
		normal := string(got)
		if normal[0] != '/' || strings.Contains(normal, "//") || strings.ContainsAny(normal, "\\") {
			t.Fatalf("%q becomes %q", in, normal)
		}
		for segment := range strings.SplitSeq(normal, "/") {
			if segment == "." || segment == ".." {
				t.Fatalf("%q becomes %q", in, normal)
			}
		}
		again, _, err := NormalizePath(got, nil)
		if err != nil || !bytes.Equal(again, got) {
			t.Fatalf("%q becomes %q and then %q, %v", in, normal, again, err)
		}
		// What the endpoint makes of it is what anybody makes of the original:
		// decoded and cleaned, as long as no slash is encoded.
		if plain, err := url.PathUnescape(in); err == nil && !strings.Contains(strings.ToLower(in), "%2f") {
			meant, err := url.PathUnescape(normal)
			want := path.Clean(plain)
			if err != nil || path.Clean(meant) != want {
				t.Fatalf("%q means %q, its normal form %q means %q, %v", in, want, normal, meant, err)
			}
		}
	})
}
