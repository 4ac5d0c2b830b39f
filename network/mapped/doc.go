// Package mapped reads files through memory maps, so that they may be larger than the
// machine's memory.
//
// The content of a [File] is a []byte like any other. Its pages are read from the disk when
// they are first touched. They count as memory of the process until they are given back: by
// [Release], which whoever walks through a map calls on the way, and now and then by a goroutine
// for all others. They stay in the system's own cache as long as that has room for them.
//
// # Faults
//
// A page that cannot be read, because the file was cut short or its disk failed, is a
// fault of the memory access. Go ends the process on one. [Guard] makes it an error, on
// the goroutine that it runs on; a goroutine that is started from there calls [Guard] too.
package mapped
