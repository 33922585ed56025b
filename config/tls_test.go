package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// pair makes a certificate and its private key.
func pair(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return block("CERTIFICATE", der), block("PRIVATE KEY", raw)
}

const overTLS = `listeners: [{ address: ":8080" }]
functions:
  f:
    endpoints: ["https://api.internal:443"]
    tls: { %s }
routes: [{ function: f }]
`

func TestTLSFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cert, key := pair(t)
	_, other := pair(t)
	write("cert.pem", cert)
	write("key.pem", key)
	write("other.pem", other)
	write("empty.pem", "")
	write("broken.pem", cert+"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	write("long.pem", strings.Repeat("x", maxPEM+1))
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe.pem"), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "weir.yaml")

	cfg, err := parse(file, fmt.Appendf(nil, overTLS, "ca_file: cert.pem, cert_file: ./cert.pem, key_file: "+dir+"/key.pem, server_name: other.internal"), world)
	if err != nil {
		t.Fatal(err)
	}
	got := cfg.Functions["f"].TLS
	want := &UpstreamTLS{
		ServerName: "other.internal", MinVersion: "1.2",
		CAFile: dir + "/cert.pem", CertFile: dir + "/cert.pem", KeyFile: dir + "/key.pem",
		CA: PEM(cert), Cert: PEM(cert), Key: PEM(key),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if said := fmt.Sprintf("%v %+v %#v", cfg, got, got); strings.Contains(said, "BEGIN") {
		t.Errorf("the key shows: %s", said)
	}
	write("key.pem", strings.ReplaceAll(key, "\n", "\r\n"))
	again, err := parse(file, fmt.Appendf(nil, overTLS, "ca_file: cert.pem, cert_file: ./cert.pem, key_file: key.pem, server_name: other.internal"), world)
	if err != nil || reflect.DeepEqual(again.Functions["f"], cfg.Functions["f"]) {
		t.Errorf("a file that has changed makes no difference: %v", err)
	}

	refused := func(block, want string) {
		t.Helper()
		_, err := parse(file, fmt.Appendf(nil, overTLS, block), world)
		if err == nil || !strings.HasPrefix(err.Error(), file+":5:") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want it to say %s", block, err, want)
		}
	}
	refused("ca_file: none.pem", `tls.ca_file cannot be read: "`+dir+`/none.pem": no such file or directory`)
	refused("ca_file: .", `cannot be read: "`+dir+`": it is not a file`)
	refused("ca_file: pipe.pem", `it is not a file`)
	refused("ca_file: long.pem", `it is longer than 4MiB`)
	refused("ca_file: empty.pem", `tls.ca_file has no certificate in it; a file in PEM begins with`)
	refused("ca_file: key.pem", `tls.ca_file has no certificate in it`)
	refused("ca_file: broken.pem", `tls.ca_file has a broken certificate, number 2: `)
	refused("cert_file: cert.pem", `tls.cert_file needs its key_file`)
	refused("key_file: key.pem", `tls.key_file needs its cert_file`)
	refused("cert_file: cert.pem, key_file: other.pem", `tls.key_file does not go with cert_file: private key does not match public key`)
	refused("cert_file: cert.pem, key_file: cert.pem", `tls.key_file does not go with cert_file: `)
	refused("cert_file: key.pem, key_file: key.pem", `tls.cert_file has no certificate in it`)
	refused("server_name: a b", `tls.server_name is an impossible host: "a b"`)
	refused("ca_file: cert.pem, insecure_skip_verify: true", `ca_file would mean nothing`)
	refused(`min_version: "1.1"`, `tls.min_version must be "1.2" or "1.3", not "1.1"`)
	refused(`min_version: 1.2`, `put quotes around it: "1.2"`)
	refused("insecure: true", `unknown key "insecure"`)
}

// So has an agent of Consul at https://, whose files are read in the same way.
func TestConsulTLSFiles(t *testing.T) {
	dir := t.TempDir()
	cert, key := pair(t)
	for name, content := range map[string]string{"cert.pem": cert, "key.pem": key, "empty.pem": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "weir.yaml")
	read := func(address, block string) (*Config, error) {
		return parse(file, fmt.Appendf(nil, "listeners: [{ address: \":8080\" }]\ndiscovery: { consul: { address: %q, tls: { %s } } }\n", address, block), world)
	}
	cfg, err := read("https://consul.internal:8501", "ca_file: cert.pem, cert_file: cert.pem, key_file: key.pem")
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.Discovery.Consul.TLS; got.CA != PEM(cert) || got.Cert != PEM(cert) || got.Key != PEM(key) || !slices.Contains(cfg.Files, dir+"/key.pem") {
		t.Errorf("%+v of %v", got, cfg.Files)
	}
	for _, c := range []struct{ address, block, want string }{
		{"https://c:1", "ca_file: none.pem", `consul.tls.ca_file cannot be read: "` + dir + `/none.pem"`},
		{"https://c:1", "ca_file: empty.pem", "consul.tls.ca_file has no certificate in it"},
		{"https://c:1", "cert_file: cert.pem", "consul.tls.cert_file needs its key_file"},
		{"https://c:1", "cert_file: cert.pem, key_file: cert.pem", "consul.tls.key_file does not go with cert_file"},
		{"https://c:1", "ca_file: cert.pem, insecure_skip_verify: true", "ca_file would mean nothing"},
		{"c:1", "ca_file: cert.pem", "consul.tls is of no use: address does not begin with https://"},
		{"unix:///run/consul", "ca_file: cert.pem", "address does not begin with https://"},
	} {
		if _, err := read(c.address, c.block); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s at %s: %v, want it to say %s", c.block, c.address, err, c.want)
		}
	}
}

// An endpoint with https:// has settings without asking for them, and settings
// without such an endpoint are a slip.
func TestTLSWithoutABlock(t *testing.T) {
	doc := strings.ReplaceAll(overTLS, "    tls: { %s }\n", "")
	cfg, err := parse("weir.yaml", []byte(doc), world)
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.Functions["f"]; got.TLS == nil || *got.TLS != (UpstreamTLS{MinVersion: "1.2"}) || got.Endpoints[0].Address != "https://api.internal:443" {
		t.Errorf("%+v", got)
	}
	_, err = parse("weir.yaml", fmt.Appendf(nil, strings.Replace(overTLS, "https", "http", 1), ""), world)
	if err == nil || !strings.Contains(err.Error(), "no endpoint begins with https://") {
		t.Error(err)
	}
}
