package config

import "time"

// Upstream bounds the connections to one endpoint. A call that finds none free
// stands in line for one, and is given the first that comes free or stands.
type Upstream struct {
	// MaxConnections is how many may be open at once. 0 is no limit.
	MaxConnections int `yaml:"max_connections" default:"0"`
	// MaxDials is how many may be on their way to stand at once, so that a
	// thousand calls that are let go together do not flood an endpoint that has
	// just come up. 16 at a time are 16,000 a second if each takes 1 ms, and 160
	// if it takes 100 ms. 0 is no limit.
	MaxDials int `yaml:"max_dials" default:"16"`
	// MaxWait is how long a call may wait for a connection. Beyond it 503, if no
	// other endpoint takes it: a third of timeouts.request as it is by default
	// leaves time for that. 0 is until the call's own deadline.
	MaxWait time.Duration `yaml:"max_wait" default:"5s"`
}

// UpstreamTLS is how weir meets whom it calls over TLS: endpoints, and Consul.
// Files hold PEM, are relative to the configuration file, and are read together
// with it.
type UpstreamTLS struct {
	// ServerName is whose certificate is expected, and what is asked for (SNI).
	// Without it, the host in the address.
	ServerName string `yaml:"server_name"`
	// CAFile has the certificates of the authorities that are trusted, instead of
	// the system's.
	CAFile string `yaml:"ca_file"`
	// CertFile has weir's own certificate, with its chain, for those who want one.
	CertFile string `yaml:"cert_file"`
	// KeyFile has the private key of that certificate.
	KeyFile string `yaml:"key_file"`
	// InsecureSkipVerify takes every certificate: whoever is in between can read
	// and change everything.
	InsecureSkipVerify bool `yaml:"insecure_skip_verify"`
	// MinVersion of TLS. Older ones than 1.2 are not spoken (RFC 8996).
	MinVersion string `yaml:"min_version" default:"1.2" enum:"1.2,1.3"`

	// CA, Cert and Key are what is in the files.
	CA, Cert, Key PEM `yaml:"-"`
}

// PEM is the content of a file. It may be a secret, so it never shows.
type PEM string

// String hides it.
func (p PEM) String() string {
	if p == "" {
		return ""
	}
	return "(hidden)"
}

// GoString hides it from %#v as well.
func (p PEM) GoString() string { return p.String() }
