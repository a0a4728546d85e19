// Package js holds the browser module that guards a signed-in page: it blanks
// the page the moment its session ends, wherever that happens. The authority's
// own pages and apps that rely on it use the same files.
//
// It owns what runs in the browser. It does not own the addresses that the
// module asks (they are options), nor how the files are served.
package js

import "embed"

// FS are the module's files: exeunt.js and what it imports, exeunt.css with
// the rule that does the blanking, and exeunt.d.ts.
//
//go:embed exeunt.js veil.js line.js idle.js exeunt.css exeunt.d.ts
var FS embed.FS
