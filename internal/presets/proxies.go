package presets

import (
	"cmp"
	"embed"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"text/template"

	"github.com/exeunt/exeunt"
	"github.com/exeunt/exeunt/client"
)

//go:embed proxies
var proxyFiles embed.FS

// proxies are the configurations of proxies in front of a site, by the name that operators give.
var proxies = map[string]string{
	"nginx": "nginx.conf", "caddy": "Caddyfile", "traefik": "traefik.yaml", "haproxy": "haproxy.cfg",
	"haproxy-lua": "exeunt.lua", "envoy": "envoy.yaml",
}

// Proxies lists the names of proxies.
func Proxies() []string {
	return []string{"nginx", "caddy", "traefik", "haproxy", "haproxy-lua", "envoy"}
}

// Proxied is a site, and where its proxy reaches the app.
type Proxied struct {
	Site exeunt.Client
	App  string
}

// ProxyConfig returns what to write into a proxy's configuration, so that it asks at the address authority about requests
// to sites, and passes those that may pass on to their apps.
func ProxyConfig(proxy, authority string, sites []Proxied) (string, error) {
	file, ok := proxies[proxy]
	if !ok {
		return "", fmt.Errorf("there is no configuration for %q: use one of %s", proxy, strings.Join(Proxies(), ", "))
	}
	at, err := placeOf(authority)
	if err != nil {
		return "", err
	}
	v := proxyView{Exeunt: at.url, ExeuntAddr: at.addr, ExeuntName: at.name, ExeuntPort: at.port,
		Headers: hyphenated(), Spellings: spellings()}
	plain := proxy == "haproxy" || proxy == "envoy"
	for _, s := range sites {
		app, err := placeOf(s.App)
		if err != nil {
			return "", err
		}
		for _, to := range []place{at, app} {
			if plain && strings.HasPrefix(to.url, "https:") {
				return "", fmt.Errorf("the configuration for %s reaches apps and Exeunt without TLS, and cannot reach %s: give the "+
					"address of a plain listener, and add TLS by hand if it is on another machine", proxy, to.url)
			}
		}
		host, port := hostPort(s.Site.Site.Host)
		if !slices.Contains(v.Ports, port) {
			v.Ports = append(v.Ports, port)
		}
		v.Sites = append(v.Sites, siteView{Host: s.Site.Site.Host, Name: host, Port: port, ID: string(s.Site.ID),
			Var: strings.ReplaceAll(string(s.Site.ID), "-", "_"), App: app.url, AppAddr: app.addr, AppName: app.name,
			AppPort: app.port})
	}
	if proxy == "envoy" && len(v.Ports) > 1 {
		return "", fmt.Errorf("the configuration for envoy has one listener, and these sites are at the ports %s: print one "+
			"for each port", strings.Join(v.Ports, ", "))
	}
	t, err := template.New(file).Delims("[[", "]]").ParseFS(proxyFiles, "proxies/"+file)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	err = t.Execute(&out, v)
	return out.String(), err
}

// proxyView is what the templates of configurations show.
type proxyView struct {
	Exeunt, ExeuntAddr, ExeuntName, ExeuntPort string
	Headers, Spellings                         []string
	Ports                                      []string // at which browsers reach the sites
	Sites                                      []siteView
}

type siteView struct{ Host, Name, Port, ID, Var, App, AppAddr, AppName, AppPort string }

type place struct{ url, addr, name, port string }

func placeOf(address string) (place, error) {
	u, err := url.Parse(address)
	if err != nil || !addressShape.MatchString(address) || strings.Trim(u.Path, "/") != "" {
		return place{}, fmt.Errorf("invalid address %q: use one like http://127.0.0.1:8081", address)
	}
	port := cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
	return place{u.Scheme + "://" + u.Host, net.JoinHostPort(u.Hostname(), port), u.Hostname(), port}, nil
}

// hostPort are the name and the port of a site's host. Sites behind a proxy are reached over TLS.
func hostPort(host string) (name, port string) {
	name, port, _ = strings.Cut(host, ":")
	return name, cmp.Or(port, "443")
}

// identityHeaders are those by which an app reads who is signed in.
func identityHeaders() []string {
	return []string{client.HeaderUser, client.HeaderName, client.HeaderEmail, client.HeaderGroups, client.HeaderAccount,
		client.HeaderSession, client.HeaderAppSession, client.HeaderClient, client.HeaderClientKey, client.HeaderIdleAt,
		client.HeaderWarnAt}
}

// hyphenated are the identity headers in small letters.
func hyphenated() (out []string) {
	for _, name := range identityHeaders() {
		out = append(out, strings.ToLower(name))
	}
	return out
}

// spellings are the names that programs which do not tell - from _ take for identity headers, as a server in Go spells
// them, whatever their letters were.
func spellings() (out []string) {
	for _, name := range identityHeaders() {
		names := []string{""}
		for i, part := range strings.Split(name, "-") {
			var longer []string
			for _, begun := range names {
				if i == 0 {
					longer = append(longer, part)
					continue
				}
				// After _ a letter is small.
				longer = append(longer, begun+"-"+part, begun+"_"+strings.ToLower(part))
			}
			names = longer
		}
		out = append(out, names...)
	}
	slices.Sort(out)
	return out
}
