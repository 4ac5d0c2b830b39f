package backendtest

import (
	"context"
	"time"
)

// An Option changes what [Check] and [Families] do.
type Option func(*options)

type options struct {
	quick    bool
	smallest bool
	only     []string
	limit    time.Duration
	ctx      context.Context
	progress func(operation string, done, all int)
}

// Quick leaves out the large shapes: for runs under the race detector.
func Quick() Option { return func(o *options) { o.quick = true } }

// Tiny leaves out all but the smallest shapes and runs each with few kinds of
// operands: for devices that are simulated. The integers at odd shapes, and
// whatever must not change around a result, are kept.
func Tiny() Option { return func(o *options) { o.quick, o.smallest = true, true } }

// Only runs the named families of operations (see [Operations]) and no others.
func Only(operations ...string) Option {
	return func(o *options) { o.only = append(o.only, operations...) }
}

// Until ends the suite after the case at hand when ctx is done; Check then
// returns the context's error.
func Until(ctx context.Context) Option { return func(o *options) { o.ctx = ctx } }

// TimeLimit sets the time that one family of operations may take. It is three
// minutes otherwise, most of it for drivers that compile slowly.
func TimeLimit(d time.Duration) Option { return func(o *options) { o.limit = d } }

// Progress has Check call tell before each family of operations, with how many of all are done.
func Progress(tell func(operation string, done, all int)) Option {
	return func(o *options) { o.progress = tell }
}
