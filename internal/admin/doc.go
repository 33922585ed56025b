// Package admin is the operator's window: health, metrics, and what weir knows,
// on a listener of its own. It has the client of that window too.
//
// Invariants
//
//   - It only looks: everything is read from the table that stands and from
//     atomics. The request path cannot notice it.
//   - A panic in it costs one answer.
//   - It shows no value of an instance's environment: secrets go there.
//   - On a loopback address it answers only requests whose Host is an address
//     or localhost (403 otherwise). There is no authentication yet; without
//     this check any web page that the operator opens could have its own name
//     point to 127.0.0.1 and read weir through the browser (DNS rebinding). On
//     another address names are the operator's affair, and so is who reaches
//     it.
//
// Lists are JSON arrays at the top, so that jq and a shell are enough; keys are
// those of the configuration where they mean the same. Anything that goes wrong
// is application/problem+json.
//
// Not here: what is counted (internal/telemetry), changing anything (writes
// come with authentication), profiles.
package admin
