// Package shift moves weights of regions from what they are to others, little by
// little, and stops or goes back when calls fail.
//
// A Shift is a row of overrides (config/layers), one each Step: what calls do, what
// weir explain says and what stands after a restart of weir is the last of them. The
// Shift itself is not kept: one that was under way when weir ended stays where it was,
// and that is logged.
//
// Invariants
//
//   - A Shift changes nothing that somebody else has changed since its last step:
//     then it ends.
//   - Each step is made as a whole or not at all.
//
// Not here: how weights become shares (shaping), who may steer (internal/admin).
package shift
