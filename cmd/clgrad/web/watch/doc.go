// Package watch shows a training run in a browser while it goes on (train --watch). It
// knows runs by what a [run.Watcher] is told.
//
//	w, err := watch.Listen(watch.Options{Address: "127.0.0.1:0", Command: command})
//	err = run.Train(ctx, run.Options{Watch: w, …})
//	w.End(watch.Finished, "")
//
// # The goroutine of the run
//
// Its calls put an event into a list in memory, and do nothing else: the lock of that list
// is held for some nanoseconds, by it and by the goroutine that takes the events out
// four times a second. That one keeps the state, and encodes what has changed once for all who
// watch. Each of those has a goroutine of its own, which nobody waits for.
//
// # What a client gets
//
//	GET /v1/run                 the state (State), as JSON
//	GET /v1/run/events          server-sent events: a snapshot, then what changes
//	GET /v1/run/samples/N.png   the picture of a sample, where samples are pictures
//	GET /report                 the report of a run that is kept, once it is there
//
// An event "snapshot" has a whole State. An event "change" has a Change: members that it has
// take the place of those of the state, points of a curve the place of all from an index on. So a
// change that is applied twice does no harm. The id of an event names the run and counts its changes.
// A client that connects again with Last-Event-ID gets what it missed: the changes since, or a
// snapshot where those are not kept any more, as for a client that reads too slowly. One that does
// not read at all is dropped.
//
// Curves have at most 2000 points however long the run is: of neighbouring iterations a point has the
// means.
package watch
