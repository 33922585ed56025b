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

// A Docker is a container that serves one function.
type Docker struct {
	// Image to run. It has to be on the engine: weir pulls nothing.
	Image string `yaml:"image"`
	// Port that the function listens on in its container, and is told as PORT.
	Port int `yaml:"port"`
	// Command instead of the image's own; no shell reads it.
	Command []string `yaml:"command"`
	// Env is the container's environment, beside the image's.
	Env map[string]string `yaml:"env"`
	// Labels of the container, beside weir's own.
	Labels map[string]string `yaml:"labels"`
	// Network that the container is in; the engine's default network if not
	// given.
	Network string `yaml:"network"`
	// Publish is an address of the engine's host, 127.0.0.1 mostly, on which the
	// port is published under a number that the engine chooses. Without it,
	// instances are called at their own address: faster, but weir has to reach
	// the engine's networks.
	Publish string `yaml:"publish"`
	// StopTimeout is how long after SIGTERM it is killed. The engine counts in
	// seconds.
	StopTimeout time.Duration `yaml:"stop_timeout" default:"10s"`
	// Limits of one instance.
	Limits InstanceLimits `yaml:"limits"`
}

// A Scaler is what raises instances.
type Scaler struct {
	// Type of the platform: process runs them here, docker as containers,
	// webhook asks whoever answers at url (docs/webhook.md).
	Type string `yaml:"type" enum:"process,docker,webhook"`

	// Host of the engine, of docker: unix:///path or tcp://host:port. Without
	// it, what DOCKER_HOST says, or unix:///var/run/docker.sock.
	Host string `yaml:"host"`
	// Gateway is the name under which this weir knows its containers again, of
	// docker: each weir on an engine needs its own, and the same one after a
	// restart. Without it, host name and configuration file in one.
	Gateway string `yaml:"gateway"`

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

// SamePlace tells whether instances that one has raised are where the other looks for
// them, under the same scaler's name.
func (s Scaler) SamePlace(other Scaler) bool {
	return s.Type == other.Type && (s.Type != "docker" || s.Host == other.Host && s.Gateway == other.Gateway)
}
