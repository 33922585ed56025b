// Package layers keeps the configuration that stands: the file, what Consul's
// keys say over it, and over both the overrides of operators. Each change of
// one of them is a new Config, and an entry of the history that can be rolled
// back to.
//
// Invariants
//
//   - One change at a time, and the whole of it or nothing: a Config is built and
//     checked before anything is applied.
//   - A file that cannot be had changes nothing; of a layer over it one bad value
//     costs one value.
//   - What is applied is in the history before anybody is told of it.
//
// Decision, 2026-11-25: a rollback puts every layer back to what it was, and each
// stays there until it says something new: the file until it is written again or
// SIGHUP asks for it, Consul until one of its keys changes. The other way, a
// configuration of its own over all layers, would have to be taken back by hand
// before any later change took effect, and somebody would forget. A rollback is
// not written to the file: after a restart the file stands.
//
// Decision, 2026-11-25: overrides outlive a restart if there is a folder to keep
// them in (admin.overrides_file, by default in systemd's StateDirectory). An
// override without a time to live lasts until it is taken back, and a crash is
// not that.
//
// Not here: what a configuration means (config), who may change it (admin), what
// becomes of it (table), where Consul's keys come from.
package layers
