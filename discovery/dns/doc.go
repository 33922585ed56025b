// Package dns is the provider of endpoints that name servers know: addresses (A
// and AAAA) of a name whose port the configuration says, or SRV records, which
// have ports of their own.
//
// An answer holds as long as its records say, within bounds, and is asked for
// again then. That a name does not exist, or has no address, is an answer:
// nobody serves. A name server that fails, refuses, refers elsewhere or keeps
// silent has not answered, and what it said before stands.
//
// The servers are asked directly and not by net.Resolver, which tells neither
// how long an answer holds nor a failure from an absence.
//
// Of SRV records (RFC 2782) those of the best priority get calls, by their
// weights. The others are there with weight 0: weir does not know yet when the
// best have all failed, the name server does.
//
// Not here: search lists (a name is a whole one), DNSSEC (the server's
// business), /etc/hosts (static endpoints have it).
package dns
