// Package ui draws the pages that people see: embedded templates, the
// catalogue of every visible string, styles, icons and scripts.
//
// It owns how things look and how they are said. It does not own what is
// shown: handlers fill a typed view and call Render. It reads no request,
// decides nothing, and knows no store.
package ui
