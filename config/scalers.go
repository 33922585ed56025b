package config

import "time"

// What raises instances, and what it runs.

// A Process is a local program that serves one function.
type Process struct {
	// Command is the program and its arguments; no shell reads it. A program
	// with a slash in it is relative to the configuration file, {{port}} in
	// an argument becomes the port.
	Command []string `yaml:"command"`
	// Dir is its working folder; the configuration file's by default.
	Dir string `yaml:"dir"`
	// Env is added to weir's own environment.
	Env map[string]string `yaml:"env"`
	// Listen says how the instance gets its socket: "fd" hands over an open
	// one as systemd does, "port" tells it a number to listen on.
	Listen string `yaml:"listen" default:"port" enum:"fd,port"`
	// StopTimeout is how long after SIGTERM it is killed.
	StopTimeout time.Duration `yaml:"stop_timeout" default:"10s"`
	// Limits of one instance, by cgroup v2. Where weir cannot set them, an
	// instance that has some is not started.
	Limits InstanceLimits `yaml:"limits"`
}

// InstanceLimits are what one instance may use. 0 is no limit.
type InstanceLimits struct {
	// Memory it may have. Beyond it the kernel ends it.
	Memory Size `yaml:"memory" default:"0"`
	// CPUs it may keep busy: 0.5 is half of one. Beyond it it waits.
	CPUs float64 `yaml:"cpus" default:"0"`
}

// A Scaler is what raises instances.
type Scaler struct {
	// Type of the platform: process runs them here, webhook asks whoever
	// answers at url (docs/webhook.md).
	Type string `yaml:"type" enum:"process,webhook"`

	// URL that a webhook's requests are posted to.
	URL string `yaml:"url"`
	// TokenFile has the secret that requests are signed with and that the
	// tokens of instances are made from: 16 bytes or more, read anew for each
	// request. Without one nothing is signed, and nothing may be announced.
	TokenFile string `yaml:"token_file"`
	// Timeout is how long one request may take, of webhook.
	Timeout time.Duration `yaml:"timeout" default:"10s"`
	// Refresh is how often a webhook's platform that runs instances of a
	// function is asked which: the longest that one may be missed that has
	// gone without a word.
	Refresh time.Duration `yaml:"refresh" default:"10s"`
	// CallbackURL is where instances and the platform reach the admin
	// interface, of webhook. Without it, http:// and admin.address.
	CallbackURL string `yaml:"callback_url"`
}
