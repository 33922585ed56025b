package config

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
)

// maxPEM is how long a file with certificates may be: the system's own, with
// 140 authorities, has 220 KB.
const maxPEM = 4 << 20

var errNoFile = errors.New("it is not a file")

// completeTLS gives endpoints with https:// their settings, if the function has
// none, and reads the files.
func completeTLS(cfg *Config, fn *Function, d *document, at *path) {
	if fn.TLS == nil && fn.speaksTLS() {
		fn.TLS = fresh(reflect.TypeFor[UpstreamTLS]()).Addr().Interface().(*UpstreamTLS)
	}
	if fn.TLS == nil {
		return
	}
	readTLS(cfg, fn.TLS, d, at)
}

// readTLS reads the files that settings name.
func readTLS(cfg *Config, t *UpstreamTLS, d *document, at *path) {
	read := func(key string, file *string, into *PEM) {
		if *file == "" {
			return
		}
		p := at.key(key)
		*file = absolute(d.base(p), *file)
		content, err := readRegular(*file, maxPEM)
		if err != nil {
			d.fail(p, fmt.Sprintf("%s cannot be read: %q: %v", p, *file, err), "")
		}
		cfg.Files = append(cfg.Files, *file)
		*into = PEM(content)
	}
	read("ca_file", &t.CAFile, &t.CA)
	read("cert_file", &t.CertFile, &t.Cert)
	read("key_file", &t.KeyFile, &t.Key)
}

// speaksTLS tells whether an endpoint may: sources can name some that do.
func (fn *Function) speaksTLS() bool {
	return fn.Service != "" || slices.ContainsFunc(fn.Endpoints, func(ep Endpoint) bool { return strings.HasPrefix(ep.Address, HTTPS) })
}

// readRegular reads a plain file: another kind of thing could keep weir waiting.
func readRegular(name string, most int64) ([]byte, error) {
	switch info, err := os.Stat(name); {
	case err != nil:
		return nil, reason(err)
	case !info.Mode().IsRegular():
		return nil, errNoFile
	}
	return readFile(name, most)
}

func (c *checker) tls(p *path, fn Function) {
	t := fn.TLS
	if t == nil || !c.d.isGiven(p.String()) {
		return
	}
	if !fn.speaksTLS() {
		c.fail(p, "say endpoints: [\"https://host:port\"], or take it out", "is of no use: no endpoint begins with https://")
	}
	c.upstreamTLS(p, t)
}

func (c *checker) upstreamTLS(p *path, t *UpstreamTLS) {
	if t.ServerName != "" && !isHost(t.ServerName) {
		c.fail(p.key("server_name"), "", "is an impossible host: %q", t.ServerName)
	}
	if t.InsecureSkipVerify && t.CAFile != "" {
		c.fail(p.key("insecure_skip_verify"), "take out one of them", "looks at no certificate, so ca_file would mean nothing")
	}
	if t.CAFile != "" {
		c.certificates(p.key("ca_file"), t.CA)
	}
	c.ownCertificate(p, t)
}

// certificates checks that a file has certificates, each of which can be read.
func (c *checker) certificates(p *path, content PEM) {
	if !c.d.sound(p) {
		return
	}
	found := 0
	for block, rest := pem.Decode([]byte(content)); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		found++
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			c.fail(p, "", "has a broken certificate, number %d: %v", found, err)
			return
		}
	}
	if found == 0 {
		c.fail(p, `a file in PEM begins with "-----BEGIN CERTIFICATE-----"`, "has no certificate in it")
	}
}

func (c *checker) ownCertificate(p *path, t *UpstreamTLS) {
	cert, key := p.key("cert_file"), p.key("key_file")
	switch {
	case t.CertFile == "" && t.KeyFile == "":
		return
	case t.KeyFile == "":
		c.fail(cert, "say where the private key is: key_file", "needs its key_file")
		return
	case t.CertFile == "":
		c.fail(key, "say where the certificate is: cert_file", "needs its cert_file")
		return
	}
	c.certificates(cert, t.Cert)
	if !c.d.sound(cert, key) {
		return
	}
	if _, err := tls.X509KeyPair([]byte(t.Cert), []byte(t.Key)); err != nil {
		c.fail(key, "", "does not go with cert_file: %s", strings.TrimPrefix(err.Error(), "tls: "))
	}
}
