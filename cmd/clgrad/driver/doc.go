// Package driver guards against OpenCL drivers that end the process that calls
// them. It makes no OpenCL call. There are three guards:
//
//   - what is known to make a driver abort is looked at before the first call
//     ([Check]);
//   - what has never been tried is tried in a process of its own ([Run]);
//   - a process that calls drivers leaves marks while it does so ([Enter]), by which
//     the next one knows that it did not come to its end.
package driver
