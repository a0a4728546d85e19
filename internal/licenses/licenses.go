// Package licenses has the license of Exeunt and the notices of everything that is built into
// its program. It owns the text, which internal/licenses/build writes, and decides nothing.
package licenses

import _ "embed"

// Text is what `exeunt licenses` prints.
//
//go:embed licenses.txt
var Text string
