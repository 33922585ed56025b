// Package consul reports the instances of services that are registered with
// Consul, by blocking queries: one for each service and datacenter, however
// many functions want it.
//
// Invariants
//
//   - What cannot be asked is not empty. A failure, of whatever kind, leaves
//     the last set standing; an answer after a failure, or with an index that
//     went backwards, removes nothing for a while.
//   - An answer that would leave nobody is believed when the leader says the
//     same a second later.
//   - An instance that is registered and not yet passing is reported as
//     Unproven if nobody else is there. One that was there before weir asked
//     first, that has passed once, or that a check has judged, never is.
//   - The agent sees at most max_connections connections.
//
// A query per service and not one over all checks: an answer is as long as
// what has changed, and a change costs one request. That takes a connection
// for each service, of which agents allow 200 by default; beyond
// max_connections services are asked in turns, and a service that changes
// keeps its connection.
//
// Besides, it watches which services declare routes by their tags
// (services.go), and the keys that say something over the configuration
// (keys.go): one package talks to Consul.
//
// Not here: keeping the last sets on disk (discovery.Remember), joining the
// datacenters' sets (discovery.Merge), what tags mean (discovery/tags) and what
// keys do (config/layers).
package consul
