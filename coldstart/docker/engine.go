package docker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/weir-gateway/weir/coldstart"
	"github.com/weir-gateway/weir/config"
)

// start creates and starts a container. After an error there is none.
func (p *Platform) start(in *instance) error {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	made, err := p.engine.ContainerCreate(ctx, p.plan(in))
	if err != nil {
		p.forget(in)
		return classed("create", err)
	}
	for _, warning := range made.Warnings {
		p.log.Warn("the engine warns", "function", in.f.name, "instance", in.name, "warning", warning)
	}
	p.mu.Lock()
	in.id = made.ID
	p.mu.Unlock()
	p.follow(in) // before it can say anything
	if _, err = p.engine.ContainerStart(ctx, made.ID, client.ContainerStartOptions{}); err != nil {
		p.mu.Lock()
		in.state = leaving
		p.mu.Unlock()
		p.remove(in, false)
		return classed("start", err)
	}
	if err := p.locate(ctx, in); err != nil {
		return err
	}
	p.log.Info("instance started", "function", in.f.name, "instance", in.name)
	return nil
}

// plan is the container of an instance.
func (p *Platform) plan(in *instance) client.ContainerCreateOptions {
	d := in.docker
	port := network.MustParsePort(strconv.Itoa(d.Port) + "/tcp")
	labels := maps.Clone(d.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[labelGateway], labels[labelScaler] = p.gateway, p.name
	labels[labelFunction], labels[labelSpec], labels[labelInstance] = in.f.name, in.spec, in.name
	env := []string{"PORT=" + strconv.Itoa(d.Port)}
	for name, value := range d.Env {
		env = append(env, name+"="+value)
	}
	stop := in.stopTimeout()
	host := &container.HostConfig{
		Resources: container.Resources{Memory: int64(d.Limits.Memory), NanoCPUs: int64(d.Limits.CPUs * 1e9)},
	}
	if d.Limits.Memory > 0 {
		host.MemorySwap = int64(d.Limits.Memory) // memory and swap in all: what is too large ends, and does not thrash
	}
	if d.Network != "" {
		host.NetworkMode = container.NetworkMode(d.Network)
	}
	if d.Publish != "" {
		host.PortBindings = network.PortMap{port: {{HostIP: netip.MustParseAddr(d.Publish)}}}
	}
	return client.ContainerCreateOptions{
		Name: in.name,
		Config: &container.Config{
			Image: d.Image, Cmd: d.Command, Env: env, Labels: labels, StopTimeout: &stop,
			ExposedPorts: network.PortSet{port: {}},
		},
		HostConfig: host,
	}
}

// locate finds out where a started container can be called, and has it served.
func (p *Platform) locate(ctx context.Context, in *instance) error {
	seen, err := p.engine.ContainerInspect(ctx, in.id, client.ContainerInspectOptions{})
	switch {
	case errdefs.IsNotFound(err):
		return nil // its end is told by the events
	case err != nil:
		return classed("inspect", err)
	}
	if st := seen.Container.State; st != nil && !st.Running {
		p.ended(in, fmt.Sprintf("exited with status %d", st.ExitCode)) // maybe before anybody listened for it
		return nil
	}
	addr := addressOf(in.docker, seen.Container.NetworkSettings)
	if addr == "" {
		p.mu.Lock()
		in.state = leaving
		p.mu.Unlock()
		p.remove(in, false)
		return coldstart.Terminal(fmt.Errorf("the container has no address on network %q: publish its port", in.docker.Network))
	}
	p.mu.Lock()
	in.own = ownAddressOf(in.docker, seen.Container.NetworkSettings)
	p.mu.Unlock()
	p.serve(in, addr)
	return nil
}

// serve takes an instance into the set, unless it is to go already.
func (p *Platform) serve(in *instance, addr string) {
	p.mu.Lock()
	if in.state == starting {
		in.state, in.addr = running, addr
	}
	if in.published && !in.proven && in.state == running {
		own := in.own
		p.besideLocked(func() { p.prove(in, addr, own) })
	}
	p.mu.Unlock()
	p.show(in.f)
}

// addressOf is where a container can be called; empty if nowhere.
func addressOf(d *config.Docker, s *container.NetworkSettings) string {
	if d == nil || s == nil {
		return ""
	}
	port := strconv.Itoa(d.Port)
	if d.Publish != "" {
		for _, b := range s.Ports[network.MustParsePort(port+"/tcp")] {
			if b.HostPort != "" {
				return net.JoinHostPort(d.Publish, b.HostPort)
			}
		}
		return ""
	}
	return ownAddressOf(d, s)
}

// ownAddressOf is where a container listens in its own network; empty if it has
// none.
func ownAddressOf(d *config.Docker, s *container.NetworkSettings) string {
	if d == nil || s == nil {
		return ""
	}
	port := strconv.Itoa(d.Port)
	for name, n := range s.Networks {
		if n == nil || d.Network != "" && d.Network != name {
			continue
		}
		for _, ip := range []netip.Addr{n.IPAddress, n.GlobalIPv6Address} {
			if ip.IsValid() && !ip.IsUnspecified() {
				return net.JoinHostPort(ip.String(), port)
			}
		}
	}
	return ""
}

// remove stops a container, which is out of the set, and removes it.
func (p *Platform) remove(in *instance, frozen bool) {
	ctx, cancel := context.WithTimeout(p.ctx, patience+in.patience())
	defer cancel()
	p.removeIn(ctx, in, frozen)
}

// bury removes a container that has ended, and if weir ends meanwhile too: it was
// told already, and would lie there until weir is started again.
func (p *Platform) bury(in *instance) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), burial)
	defer cancel()
	p.removeIn(ctx, in, false)
}

// burial is how long an engine that hangs may keep weir from ending for that; one
// that does not takes 0.2 s.
const burial = 5 * time.Second

func (p *Platform) removeIn(ctx context.Context, in *instance, frozen bool) {
	p.mu.Lock()
	id, timeout, logs, throttled := in.id, in.stopTimeout(), in.logs, in.throttled
	p.mu.Unlock()
	if id == "" {
		id = in.name // created or not: nobody knows
	}
	if frozen || throttled { // a signal would wait
		_ = p.wake(ctx, in, id, throttled)
	}
	_, err := p.engine.ContainerStop(ctx, id, client.ContainerStopOptions{Timeout: &timeout})
	if err != nil && !errdefs.IsNotFound(err) && p.ctx.Err() == nil {
		p.log.Warn("cannot stop", "function", in.f.name, "instance", in.name, "error", err.Error())
	}
	logs.finish()
	_, err = p.engine.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if p.ctx.Err() != nil {
		return
	}
	if err != nil && !errdefs.IsNotFound(err) && !errdefs.IsConflict(err) { // a conflict: it is being removed
		p.log.Error("cannot remove", "function", in.f.name, "instance", in.name, "error", err.Error())
		return // it stays leaving; the next list finds it
	}
	p.log.Info("instance removed", "function", in.f.name, "instance", in.name)
	p.forget(in)
}

// classed marks an error that asking again will not mend.
func classed(what string, err error) error {
	words := fmt.Errorf("cannot %s the container: %w", what, err)
	hopeless := errdefs.IsNotFound(err) || errdefs.IsInvalidArgument(err) || errdefs.IsPermissionDenied(err)
	// Of a command that is not in the image old engines say no more than this.
	for _, s := range []string{"executable file not found", "no such file or directory", "permission denied"} {
		hopeless = hopeless || strings.Contains(err.Error(), "OCI runtime") && strings.Contains(err.Error(), s)
	}
	if hopeless && !client.IsErrConnectionFailed(err) && !errors.Is(err, context.DeadlineExceeded) {
		return coldstart.Terminal(words)
	}
	return words
}
