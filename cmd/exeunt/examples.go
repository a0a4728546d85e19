package main

import (
	"strings"

	"github.com/alecthomas/kong"
)

// examples are what help, manual pages and their test show of each command.
var examples = map[string]string{
	"init":                    "exeunt init --url https://id.example.com --tls acme",
	"serve":                   "exeunt serve --config /etc/exeunt/exeunt.toml",
	"demo":                    "exeunt demo --once",
	"doctor":                  "exeunt doctor --config /etc/exeunt/exeunt.toml",
	"status":                  "exeunt status",
	"health":                  "exeunt health",
	"backup":                  "exeunt backup --config /etc/exeunt/exeunt.toml /var/backups",
	"restore":                 "exeunt restore --config /etc/exeunt/exeunt.toml /var/backups/exeunt-20270102T030405Z.db",
	"sessions list":           "exeunt sessions list --account ada --ended",
	"sessions show":           "exeunt sessions show ses_7q2k4mz3t5w6x7y2a3b4c5d6e7",
	"sessions end":            "exeunt sessions end --account ada",
	"accounts list":           "exeunt accounts list --limit 100",
	"accounts show":           "exeunt accounts show ada",
	"accounts add":            "exeunt accounts add grace --name Grace --email grace@example.com",
	"accounts import":         "exeunt accounts import users_database.yml --apply",
	"accounts export":         "exeunt accounts export ada",
	"accounts disable":        "exeunt accounts disable ada",
	"accounts enable":         "exeunt accounts enable ada",
	"accounts delete":         "exeunt accounts delete ada",
	"accounts keep":           "exeunt accounts keep ada",
	"accounts secure":         "exeunt accounts secure ada",
	"accounts reset":          "exeunt accounts reset ada",
	"accounts remove-factor":  "exeunt accounts remove-factor ada --all",
	"accounts remove-picture": "exeunt accounts remove-picture ada",
	"accounts invites":        "exeunt accounts invites --json",
	"accounts uninvite":       "exeunt accounts uninvite grace",
	"accounts audit":          "exeunt accounts audit ada --limit 20",
	"accounts confirm-email":  "exeunt accounts confirm-email ada ada@example.com",
	"groups list":             "exeunt groups list",
	"groups show":             "exeunt groups show staff",
	"groups add":              "exeunt groups add staff ada grace",
	"groups remove":           "exeunt groups remove staff ada",
	"clients list":            "exeunt clients list --json",
	"clients show":            "exeunt clients show notes",
	"clients add":             "exeunt clients add notes --name Notes --redirect-uri https://notes.example.com/callback",
	"clients set":             "exeunt clients set notes --token-life 10m",
	"clients rotate-secret":   "exeunt clients rotate-secret notes",
	"clients remove":          "exeunt clients remove notes",
	"clients new-key":         "exeunt clients new-key",
	"sites snippet":           "exeunt sites snippet wiki.example.com --proxy caddy --config /etc/exeunt/exeunt.toml",
	"mail list":               "exeunt mail list --state refused",
	"mail retry":              "exeunt mail retry mail_7q2k4mz3t5w6x7y2a3b4c5d6e7",
	"mail test":               "exeunt mail test ada@example.com",
	"receipt verify":          "exeunt receipt verify exeunt-receipt-2026-11-30-17.jws",
	"webhooks list":           "exeunt webhooks list",
	"webhooks test":           "exeunt webhooks test alarm",
	"migrate":                 "exeunt migrate --database-file server.url",
	"copy":                    "exeunt copy --from sqlite:/var/lib/exeunt/exeunt.db --to postgres://exeunt@db.example.com/exeunt",
	"settings":                "exeunt settings > /tmp/all.toml",
	"completion":              "exeunt completion bash > /etc/bash_completion.d/exeunt",
	"manual":                  "exeunt manual /usr/local/share/man/man1",
	"version":                 "exeunt version",
	"licenses":                "exeunt licenses",
}

// withExamples adds the examples to the commands' help. A command of commands shows that of its first.
func withExamples(node *kong.Node) string {
	example := examples[commandName(node)]
	for _, child := range node.Children {
		if of := withExamples(child); example == "" {
			example = of
		}
	}
	if node.Parent != nil && example != "" {
		detail, _, _ := strings.Cut(node.Detail, "Example:") // one is enough
		node.Detail = strings.TrimSpace(strings.TrimSpace(detail) + "\n\nExample:\n\n    " + example)
	}
	return example
}

// commandName is a command without the program's name: "accounts add".
func commandName(node *kong.Node) string {
	var names []string
	for ; node.Parent != nil; node = node.Parent {
		names = append([]string{node.Name}, names...)
	}
	return strings.Join(names, " ")
}
