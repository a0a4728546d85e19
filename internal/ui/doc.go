// Package ui renders the pages that people see: embedded templates, the catalogue of
// all texts, styles, icons and scripts.
//
// It owns how pages look and what their texts say. It does not own what is shown:
// handlers fill a typed view and call Render. It reads no requests and has no rules.
package ui
