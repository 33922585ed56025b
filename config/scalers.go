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
	// Type of the platform: process.
	Type string `yaml:"type" enum:"process"`
}
