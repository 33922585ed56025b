// Package forecast has functions raised before they are called.
//
// A Forecaster hears of visits, reads the clock, and tells a Raiser what to have
// up. Three things it goes by: windows on the wall clock (Schedule), the gaps
// between a function's visits (Habit), what is called before it (Chains).
//
// Invariants
//
//   - A warm call does not notice. Only the first one after a gap, 5 s where
//     buckets are a minute, is told of, and nobody waits for the telling.
//   - A function costs 1 KiB at most, whatever its calls are like; chains are
//     bounded over all functions.
//   - Where nothing is known idle_after holds, and a prediction that fails costs
//     instances, never a call. No more than max_prewarmed stand on one at once,
//     and whoever is waited for starts first (coldstart's ranks).
//   - What is predicted is judged, acted on or not: under 30 % of the last 50, it
//     is no longer acted on; from half of them, it is again.
//
// The histogram policy is that of Shahrad et al., "Serverless in the Wild",
// USENIX ATC 2020, section 4.2: raised at the 5th percentile of the gaps, kept up
// to the 99th, 10 % of margin each, only if the counts vary enough. Departures:
//
//   - Calls closer than a twelfth of a bucket are one visit: what is gained by
//     counting each is that a chatty function is let go of between its visits.
//   - Without a pattern idle_after holds, not the whole range: keeping all that
//     is called at random for four hours must be asked for (idle_after: 4h).
//   - Gaps beyond the range are not fitted with ARIMA. What is found that far out
//     are timers, and their last four gaps agree within 5 %.
//   - Where no absence is planned, idle_after is the least: for what is called
//     every minute the 99th percentile is short, and more costs next to nothing.
//   - An absence under 20 starts or min_up is not worth a stop. Raising begins a
//     usual start early.
//   - Counts are halved at 512, where the paper keeps two weeks of daily ones
//     (section 6). Nothing outlives the process; two weirs learn apart.
//
// Not here: how instances are raised (coldstart), who sees a visit (proxy).
package forecast
