// Package providertest is the suite that every provider of endpoints passes.
//
// It holds a provider to what discovery.Provider promises: whole sets, the
// first one soon and one after every change; silence while the source is away,
// answers nonsense, or has nothing new to say; one bad entry costs one entry,
// and its reason is told; watches that do not disturb each other, that own what
// they are given, and that end when they are told to, with nothing left behind.
//
// Not here: what only one source can do. That is tested beside it.
package providertest
