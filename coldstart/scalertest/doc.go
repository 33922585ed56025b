// Package scalertest is the suite that every scaler passes, and the function
// that its instances run.
//
// It holds a scaler to what coldstart.Scaler, coldstart.Reporter and
// discovery.Provider promise: bounds instead of differences, from many
// goroutines at a time; errors that say whether asking again makes sense;
// instances that are told when they come, when they crash, and when weir has
// been away; and nothing left behind.
//
// Not here: what only one platform can do. That is tested beside it.
package scalertest
