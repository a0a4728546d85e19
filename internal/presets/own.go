package presets

import (
	"fmt"
	"net/url"
	"strings"
	"text/template"
)

// OwnConfig returns what to write into a proxy's configuration, so that browsers reach Exeunt itself through it: at the
// address own, which the proxy passes to the address authority. "" for a proxy of which we have none: the documentation
// says what it must do.
func OwnConfig(proxy, own, authority string) (string, error) {
	at, err := placeOf(authority)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(own)
	if err != nil || u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("invalid address %q: use one like https://id.example.com", own)
	}
	file, ok := proxies[proxy]
	text, err := proxyFiles.ReadFile("proxies/own/" + file)
	if !ok || err != nil {
		return "", nil
	}
	t, err := template.New(file).Delims("[[", "]]").Parse(string(text))
	if err != nil {
		return "", err
	}
	var out strings.Builder
	err = t.Execute(&out, struct{ Name, ExeuntAddr string }{u.Host, at.addr})
	return out.String(), err
}
