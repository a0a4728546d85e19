// Package js holds the browser module that guards a signed-in page: it blanks the page
// when its session ends, wherever that happens. The authority's own pages and apps use
// the same files.
//
// It owns the code that runs in the browser. It owns neither the addresses that the
// module uses, which are options, nor how the files are served.
package js

import "embed"

// FS holds the module's files: exeunt.js and its imports, exeunt.css with the rules
// that blank the page, and exeunt.d.ts. Beside them is receipt.js, which verifies receipts
// and which none of them imports, with receipt.d.ts.
//
//go:embed exeunt.js veil.js line.js idle.js strip.js exeunt.css exeunt.d.ts receipt.js receipt.d.ts
var FS embed.FS
