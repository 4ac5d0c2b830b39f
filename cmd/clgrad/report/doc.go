// Package report shows the results of a training run: one HTML page without
// scripts or outside resources, which also a phone shows, and the same pictures
// as PNG files.
//
// A [Run] holds everything that is shown, as plain data that the caller fills:
// whatever it leaves out is left out of the page, its heading included. [Write]
// writes the files, each replaced whole or left as it was; [WritePage] writes the page
// alone, of a run that is under way or was interrupted.
//
// The page is made by html/template, which escapes every text. Charts are drawn
// by gonum.org/v1/plot, which escapes the text inside them.
package report
