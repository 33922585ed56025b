// Package process raises instances as local processes.
//
// Invariants
//
//   - An instance is its process group. When its first process has ended, or
//     weir has ended however roughly, the instance is over.
//   - An endpoint reported without Unproven has accepted a connection.
//   - Out of the set first, then everything else: SIGTERM, Failed.
//   - No pid is signalled that might be somebody else's: an exit is noticed
//     without reaping, and reaped only when nobody signals any more.
//   - An instance can neither fill our memory with output nor keep us waiting
//     with a pipe that a grandchild holds open.
//
// Not here: health, restarts, idleness (the Activator's), probing an Unproven
// endpoint (the Keeper's), users (run weir under what sets them).
// The parent-death signal is not inherited: when weir is killed with SIGKILL,
// grandchildren that do not watch their parent live on. Only Linux: elsewhere
// the package compiles, and ScaleUp says that it cannot.
//
// Decisions, 2026-11-23
//
//   - LISTEN_PID by running our own binary once more between fork and exec
//     (process/trampoline), before the variables of weir's dependencies: 3.3 ms and
//     not 4.6 (2 vCPU VM; BenchmarkSpawn). A shell, 0.5 ms, is not everywhere; ptrace
//     at the exec, 0.4 ms in a prototype, is worth it once fd boots take few ms.
//   - Readiness of fd instances from the length of the accept queue. Connecting
//     proves nothing, the socket is older than the process. There is no event
//     for it, hence polling, 50 µs of CPU each; should the kernel get one, take it.
//   - One thread waits for each instance: noticed without SIGCHLD, which belongs
//     to the whole program. Beyond some thousand instances: pidfds in a poller.
//   - 2026-11-25: an instance whose limits cannot be set is not started, and the
//     log says so before anybody calls. Who wrote memory: 256MiB relies on it.
//   - Paused by SIGSTOP, not by the freezer: it needs no cgroup. 0.7 ms from
//     ScaleUp to an answer, a request included (2 vCPU VM; BenchmarkResume).
//   - 2026-11-26: throttled by cpu.max, in a cgroup that the instance is born into.
//     Without cgroup v2 it is stopped, and not paused instead: whoever wants timers
//     and connections to live on would have both die late and one by one.
//   - The rest of the group is killed as soon as its first process has ended,
//     without grace: no call is on it, and the pid is safe only until reaped.
package process
