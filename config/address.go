package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// readEndpoint reads the address of an endpoint in any of its spellings and
// returns it as host:port, https://host:port or unix:/path.
func readEndpoint(text string) (string, *wrong) {
	if file, ok := strings.CutPrefix(text, "unix:"); ok {
		// unix:///path is what a URL would be.
		if strings.HasPrefix(file, "///") {
			file = file[2:]
		}
		if !strings.HasPrefix(file, "/") || strings.Contains(file, "\x00") {
			return "", &wrong{fmt.Sprintf("is not an absolute path: %q", file), "write it as in unix:/run/app.sock"}
		}
		return "unix:" + file, nil
	}
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		rest = text
	} else if bad := checkScheme(scheme); bad != nil {
		return "", bad
	}
	if ok {
		rest = strings.TrimSuffix(rest, "/")
	}
	if strings.Contains(rest, "/") {
		return "", &wrong{fmt.Sprintf("has a path: %q", text), "an endpoint is host:port; the path of a call is passed on as it is"}
	}
	if bad := readHostPort(rest, true); bad != nil {
		return "", bad
	}
	if scheme == "https" && ok {
		return HTTPS + rest, nil
	}
	return rest, nil
}

// HTTPS begins the address of an endpoint that speaks TLS.
const HTTPS = "https://"

func checkScheme(scheme string) *wrong {
	switch scheme {
	case "http", "https":
		return nil
	case "h2c":
		return &wrong{"is h2c://, which is not supported by this version of weir", "use http://"}
	}
	return &wrong{fmt.Sprintf("has an unknown scheme: %q", scheme), `use "host:port", "https://host:port" or "unix:/path"`}
}

// readHostPort says what keeps text from being a host:port. One that is called
// needs a host and a port; one that is listened on may leave out the host, and
// port 0 lets the system choose.
func readHostPort(text string, called bool) *wrong {
	form := "write it as in 127.0.0.1:8080 or [::1]:8080"
	if !called {
		form = "write it as in :8080 or 127.0.0.1:8080"
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		if text != "" && !strings.Contains(text, ":") {
			return &wrong{fmt.Sprintf("has no port: %q", text), form}
		}
		return &wrong{fmt.Sprintf("is not host:port: %q", text), form}
	}
	if host == "" && called {
		return &wrong{fmt.Sprintf("has no host: %q", text), form}
	}
	if host != "" && !isHost(host) {
		return &wrong{fmt.Sprintf("has an impossible host: %q", host), form}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || strconv.FormatUint(n, 10) != port || (n == 0 && called) {
		return &wrong{fmt.Sprintf("has an impossible port: %q", port), "a port is a number from 1 to 65535"}
	}
	return nil
}

// isHost accepts a literal address or what a resolver would be asked for. The
// underscore is not in the standard, but in many a compose file.
func isHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	if strings.Contains(host, ":") || len(host) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(host, "."), ".") {
		if !isLabel(strings.ToLower(label)) {
			return false
		}
	}
	return true
}

// isLabel tells whether s, in lower case, can stand between the dots of a name.
func isLabel(s string) bool {
	return s != "" && len(s) <= 63 && s[0] != '-' && s[len(s)-1] != '-' &&
		strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// socket is a listening address in the one form in which two that cannot stand
// side by side are equal; "" for a port that the system chooses.
func socket(address string) string {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port == "0" {
		return ""
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		host = ip.Unmap().String()
		if ip.IsUnspecified() {
			host = ""
		}
	}
	return net.JoinHostPort(strings.ToLower(host), port)
}
